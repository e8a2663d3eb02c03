"""``fewstep export RUN|ADAPTED --out FILE``: a model, or adaptation itself, for other runtimes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from fewstep.choices import What
from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import DataDir, data_folder, parse
from fewstep.config.limits import OptionalCount
from fewstep.errors import InputError
from fewstep.files import check_writable

_FILE = arg(metavar="FILE", help_behavior_hint="")
_WHAT = arg(metavar="{adapted,meta-learned,adaptation}", help_behavior_hint="")


@dataclass(frozen=True)
class ExportOptions:
    """Write a model, or adaptation itself, as files that need neither fewstep nor PyTorch.

    Of adaptation there are several files, with a word behind the name: where it starts, one inner
    step, the statistics of batch norm if there is any, and the prediction (docs/export.md).
    """

    source: Annotated[Positional[Path], arg(metavar="RUN|ADAPTED")]
    """A run directory of fewstep train, or the folder of an adapted model."""
    out: Annotated[Path, _FILE]
    """The file, as in owls.onnx; of adaptation owls-start.onnx, owls-step.onnx, ..."""
    what: Annotated[What | None, _WHAT] = None
    """The adapted model, the one before it adapts, or adaptation; by default the adapted model of
    an adapted model, and of a run adaptation."""
    format: Literal["onnx", "pt2"] = "onnx"
    """For any ONNX runtime, or for torch.export.load."""
    n_way: OptionalCount = None
    """Classes that adaptation of a run tells apart; those of the run unless given."""
    bits: Literal[8, 32] = 32
    """Of a weight in the file; 8 for the large ones of the body, whose loss is measured."""
    data_dir: DataDir = None
    """For --bits 8 of a run: the folder that holds omniglot/, or the new place of its own data."""
    json: bool = False
    """Print one JSON object and nothing else."""


def main(arguments: list[str]) -> int:
    """Write the files, and print what they are."""
    options = parse(ExportOptions, "export", arguments)
    check_writable(options.out)
    named = options.out.suffix.removeprefix(".")
    if named in ("onnx", "pt2") and named != options.format:
        raise InputError(
            f"--out {options.out} is named as a file of --format {named}, and the format is "
            f"{options.format}; add --format {named}, or give "
            f"{options.out.with_suffix('.' + options.format)}"
        )
    ending = f".{options.format}"
    if options.out.suffix != ending:
        raise InputError(
            f"--out {options.out} does not end in {ending}, as a file of --format "
            f"{options.format} does; give {options.out.with_suffix(ending)}"
        )
    if options.bits == 8 and options.format == "pt2":
        raise InputError("--bits 8 is for --format onnx; leave one of them out")

    from fewstep.cli.exporting import loss_of_bits, to_export
    from fewstep.export.onnx_file import check_installed, write_onnx
    from fewstep.export.pt2_file import write_pt2

    if options.format == "onnx":
        check_installed("onnx")
    console, errors = plain_console(), error_console()
    chosen = to_export(options.source, options.what, options.n_way)
    if chosen.note:
        errors.print(chosen.note, soft_wrap=True)
    if options.format == "onnx":
        files = write_onnx(chosen.export, options.out, options.bits)
    else:
        files = write_pt2(chosen.export, options.out)
    lost = ""
    if options.bits == 8:
        lost = loss_of_bits(chosen, options.source, data_folder(options.data_dir), options.data_dir)
    if options.json:
        told = [{"file": str(path), "bytes": path.stat().st_size} for path in files]
        print(
            json.dumps(
                {
                    "files": told,
                    "what": json.loads(chosen.export.about["what"]),
                    "loss_of_bits": lost or None,
                }
            )
        )
        return 0
    for name, path in zip(chosen.export.programs, files, strict=True):
        size = f"{path.stat().st_size / 1000:,.0f} kB"
        console.print(f"{path}  {size}  {_TOLD[name]}", soft_wrap=True)
    if lost:
        console.print(lost, soft_wrap=True)
    return 0


_TOLD = {
    "": "x -> outputs",
    "start": "the parameters before the first inner step",
    "step": "one inner step: parameters, support_x, support_y -> parameters",
    "statistics": "parameters, support_x -> statistics of batch norm",
    "predict": "parameters, x -> outputs",
}
