"""Runs as the starts of a demonstration, and the server of its page."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from fewstep.config.schema import with_random_weights
from fewstep.demo.app import app_of
from fewstep.demo.starts import STEPS, Start
from fewstep.errors import InputError
from fewstep.learners.build import learner_for
from fewstep.predictors.spec import spec_of
from fewstep.runtime.modes import one_thread
from fewstep.training.adaptable import Base, base_of_run
from fewstep.training.run_names import named_runs

SMALL = 32  # pixels a side; a few such pictures take longer on several cores than on one
_PARTS = {"": "", "whole": ", whole network", "head": ", last layer"}


@dataclass(frozen=True)
class Shown:
    """Starts side by side, with the classes and the inner steps that the page begins with."""

    starts: list[Start]
    ways: int
    steps: int


def loaded(run: Path, beside: Path | None, device: str = "cpu") -> Shown:
    """A run, another one beside it, and the network of the first with random weights.

    Raises:
        InputError: They are no runs on pictures, or on pictures of two kinds.
    """
    paths = (run,) if beside is None else (run, beside)
    bases = [base_of_run(path, device) for path in paths]
    first = bases[0]
    for path, base in zip(paths, bases, strict=True):
        if base.preparation.ink != first.preparation.ink:
            kinds = ["drawings" if one.preparation.ink else "photos" for one in (base, first)]
            raise InputError(
                f"{path} is a run on {kinds[0]} and {run} on {kinds[1]}; expected runs on pictures "
                "of one kind"
            )
    named = zip(named_runs(paths), bases, strict=True)
    starts = [start for name, base in named for start in _starts(name, base)]
    config = first.config
    return Shown([*starts, _random(first)], config.ways("test"), config.test_inner_steps)


def _starts(name: str, base: Base) -> Iterator[Start]:
    config = base.config
    kind = "pre-trained" if config.algorithm == "finetune" else "meta-learned"
    most = min(STEPS, config.inner_steps) if config.learns_per_step else STEPS
    for part, learner in base.learner.variants().items():
        learner.temperature = base.learner.temperature
        yield Start(f"{kind}: {name}{_PARTS[part]}", learner, base.preparation, most)


def _random(base: Base) -> Start:
    """The same network with the initial weights of the run's seed."""
    how = base.preparation
    shape = (how.channels, how.size, how.size)
    config = replace(with_random_weights(base.config), pretrained=False)
    new = learner_for(config, spec_of("classification", shape, config.n_way, None, how))
    return Start("random weights", new, how)


@contextmanager
def listening(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens there, and its address; it is closed in the end.

    Raises:
        InputError: One cannot listen there.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = socket.create_server(place[:2], family=family)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"cannot listen on {host}, port {port} ({getattr(error, 'strerror', None) or error}); "
            "choose another --host or --port"
        ) from error
    with server:
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host
        name = f"[{name}]" if ":" in name else name
        yield server, f"http://{name}:{server.getsockname()[1]}/"


def serve(shown: Shown, server: socket.socket, host: str) -> None:
    """Serve the page until the user stops it."""
    app = app_of(shown.starts, shown.ways, shown.steps, {host, socket.gethostname()})
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=64,
        timeout_graceful_shutdown=1,
    )
    sys.stdout.flush()
    small = all(start.preparation.size <= SMALL for start in shown.starts)
    # It ends by the signal that it was stopped by.
    with one_thread() if small else nullcontext(), suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[server])
