"""Make the weights of the demonstration on the site from two runs.

    python -m scripts.demo_weights RUN PRETRAINED [--out website/demo/weights]

RUN is a run on drawings, PRETRAINED one of ``--algorithm finetune`` with the same network. The
starts are those of ``fewstep demo RUN --beside PRETRAINED``, but the last layer alone: the first
in 32 bits, so that it adapts as the run itself does; the others in 8 bits, to stay below 1 MB.
"""

import argparse
import json
from pathlib import Path

import torch

from fewstep.cli.serving import loaded
from fewstep.demo.about import about_of
from fewstep.export.onnx_file import write_onnx
from fewstep.export.source import export_of

FILES = {"meta-learned": 32, "pre-trained": 8, "random": 8}  # bits of a weight


def write(run, pretrained, out):
    """Write the files of all starts into a folder, and what the page has to know of them."""
    shown = loaded(run, pretrained)
    first, whole, _, random = shown.starts
    how = first.preparation
    x, y = torch.rand(shown.ways, how.channels, how.size, how.size), torch.arange(shown.ways)
    out.mkdir(parents=True, exist_ok=True)
    for start, (name, bits) in zip((first, whole, random), FILES.items(), strict=True):
        write_onnx(export_of(start.learner, "adaptation", x, y), out / f"{name}.onnx", bits)
    about = about_of([first], shown.ways, shown.steps) | {
        "starts": ["meta-learned", "pre-trained, whole network", "random weights"],
        "files": list(FILES),
        "temperatures": [start.learner.temperature for start in (first, whole, random)],
        "size": how.size,
    }
    (out / "about.json").write_text(json.dumps(about, indent=2) + "\n")


def main():
    """Write, and tell how much."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("pretrained", type=Path)
    parser.add_argument("--out", type=Path, default=Path("website/demo/weights"))
    options = parser.parse_args()
    write(options.run, options.pretrained, options.out)
    print(f"{sum(path.stat().st_size for path in options.out.iterdir()) / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
