"""``fewstep demo RUN``: draw, and watch it adapt, in a browser."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import parse
from fewstep.errors import InputError

_FOLDER = arg(metavar="RUN", help_behavior_hint="")
DEMO_RUN, DEMO_BESIDE = Path("runs/demo/maml"), Path("runs/demo/finetune")
"""Those of ``make run``."""


@dataclass(frozen=True)
class DemoOptions:
    """Show in a browser how a run adapts, step by step, to what you draw or to your photos.

    Of a run on drawings, draw a symbol for each class and then one of them again; of a run on
    photos, drop in a few of each class. It serves a page at the address that it prints, to this
    machine alone, until Ctrl-C. Nothing that is sent is kept.
    """

    run: Annotated[Positional[Path | None], _FOLDER] = None
    """A run directory of fewstep train on pictures; that of make run unless given."""
    beside: Annotated[Path | None, _FOLDER] = None
    """Another run to show beside it, as one of --algorithm finetune."""
    host: str = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets everybody in the network use it."""
    port: int = 0
    """The port; a free one unless given."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, ..."""


def main(arguments: list[str]) -> int:
    """Load the runs, print the address, and serve until Ctrl-C."""
    options = parse(DemoOptions, "demo", arguments)
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise InputError(
                f"{package} is not installed; install it with: pip install 'fewstep[demo]'"
            )
    if not 0 <= options.port <= 65535:
        raise InputError(f"port is {options.port}; expected 0 (a free one) to 65535")
    run, beside = options.run, options.beside
    if run is None:
        if not DEMO_RUN.exists():
            raise InputError(
                f"no run is given and {DEMO_RUN} is not there; make it with: make run, or name a "
                "run on pictures"
            )
        run, beside = DEMO_RUN, beside or (DEMO_BESIDE if DEMO_BESIDE.exists() else None)

    from fewstep.cli.serving import listening, loaded, serve

    with listening(options.host, options.port) as (socket, address):
        shown = loaded(run, beside, options.device)
        if options.host not in ("127.0.0.1", "::1", "localhost"):
            error_console().print("everybody who reaches this machine can use the page")
        plain_console().print(f"{address} (Ctrl-C ends it)", soft_wrap=True)
        serve(shown, socket, options.host)
    return 0
