"""Write the results, and the pages made of them: ``python -m scripts.results [RUN_DIR ...]``.

Each run is one of ``fewstep train RECIPE --budget ...`` that is finished; its results are added to
``results/``. Without any, the pages alone are written anew.
"""

import json
import sys
from pathlib import Path

from fewstep.errors import InputError
from fewstep.published.files import read_results
from fewstep.published.of_run import FEWEST, results_of_run
from fewstep.published.table import omniglot_protocol, results_page
from fewstep.training.top import TOP

ROOT = Path(__file__).parents[1]
START, END = "<!-- protocol: written by python -m scripts.results -->", "<!-- end of protocol -->"


def pages(root, more=()):
    """The text of each page that is made, by its path; with results that are not there yet."""
    every = {one.file_name: one for one in (*read_results(root / "results"), *more)}
    omniglot = root / "docs" / "omniglot.md"
    text = omniglot.read_text(encoding="utf-8")
    for mark in (START, END):
        if mark not in text:
            raise InputError(f"{omniglot} has no line {mark}; put it back, around the protocol")
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    whole = f"{before}{START}\n\n{omniglot_protocol()}\n\n{END}{after}"
    return {
        root / "docs" / "results.md": results_page([every[name] for name in sorted(every)]),
        omniglot: whole,
    }


def main(run_dirs, root=ROOT):
    """Add the results of these runs, and write the pages; the exit status."""
    try:
        # All of them are read before anything is written.
        found = {}
        for run_dir in run_dirs:
            of_run = {one.file_name: one for one in results_of_run(Path(run_dir), FEWEST)}
            if {one.models for one in of_run.values()} != {1, TOP}:
                raise InputError(
                    f"{run_dir} was not tested with the average of its {TOP} best checkpoints; "
                    "remove its summary.json, and train it to its end"
                )
            if of_run.keys() & found.keys():
                raise InputError(
                    f"{run_dir} and a run before it have results of the same row and seed; give "
                    "one of them"
                )
            found |= of_run
        made = pages(root, found.values())
        for one in found.values():
            path = root / "results" / one.file_name
            path.write_text(json.dumps(one.as_json(), indent=2) + "\n", encoding="utf-8")
            print(path)
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
    except InputError as error:
        print(f"results: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
