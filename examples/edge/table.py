"""Learn a task of a table from a few of its rows, with onnxruntime and NumPy alone.

    python table.py exams support.csv query.csv

The files are those of edge.py; both tables have the columns of the training table, and numbers as
Python writes them: no units, no thousands marks.
"""

import csv
import sys

import numpy as np
from edge import Adaptation

TRUE, FALSE = {"yes", "true", "y", "t", "1"}, {"no", "false", "n", "f", "0"}
KINDS = ["number", "boolean", "date", "category"]  # in the order of their features


def column(rows, form, marks):
    """The features of a column, as the training rows scaled them."""
    texts, kind = [row[form["name"]].strip() for row in rows], form["kind"]
    absent = np.array([text in marks for text in texts])
    if kind == "number":
        how = form["scaling"]
        values = np.array(
            [how["fill"] if a else float(t) for t, a in zip(texts, absent, strict=True)]
        )
        values, missing = (values - how["mean"]) / how["scale"], how["missing"]
    elif kind == "boolean":
        words = dict.fromkeys(TRUE, 1.0) | dict.fromkeys(FALSE, 0.0)
        values = np.array(
            [form["fill"] if a else words[t.lower()] for t, a in zip(texts, absent, strict=True)]
        )
        missing = form["missing"]
    elif kind == "category":
        levels = [*form["levels"], *([None] if form["missing"] else []), "other"]
        places = [
            levels.index(None) if a and None in levels else levels.index(t) if t in levels else -1
            for t, a in zip(texts, absent, strict=True)
        ]
        return np.eye(len(levels))[places]
    else:
        raise SystemExit(f"column {form['name']} holds dates, which this example leaves out")
    return np.stack([values, absent] if missing else [values], 1)


def features(rows, preparation):
    """``float32 [rows, features]``."""
    forms = sorted(preparation["forms"], key=lambda form: KINDS.index(form["kind"]))
    return np.concatenate(
        [column(rows, form, preparation["missing_marks"]) for form in forms], 1
    ).astype(np.float32)


def rows_of(path):
    """The rows of a CSV file, each a dict."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main(name, support, query):
    """Adapt, and print a prediction for each row of the query, in the unit of the table."""
    adaptation = Adaptation(name)
    how = adaptation.about["preparation"]
    taught, asked = rows_of(support), rows_of(query)
    targets = [row[how["target"]] for row in taught]
    if how["kind"] == "classification":
        names = [str(label) for label in how["classes"]]
        y = np.array([names.index(target) for target in targets])
    else:
        y = (np.array(targets, float)[:, None] - how["target_mean"]) / how["target_scale"]
        y = y.astype(np.float32)
    state = adaptation.adapt(features(taught, how), y)
    found = adaptation.predict(state, features(asked, how))
    if how["kind"] == "classification":
        print(*(names[number] for number in found.argmax(1)), sep="\n")
    else:
        print(*(found[:, 0] * how["target_scale"] + how["target_mean"]), sep="\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
