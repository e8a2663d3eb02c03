"""One adaptation to pictures from folders: read, adapted, judged and saved."""

from collections.abc import Iterator
from pathlib import Path

import torch

from fewstep.cli.places import Places, check_out
from fewstep.data.own_pictures import (
    Pictures,
    alike,
    as_known,
    check_query_classes,
    query_files,
    read_pictures,
    read_support,
    repeated,
    support_files,
)
from fewstep.data.preparation import Preparation
from fewstep.errors import InputError
from fewstep.files import write_whole
from fewstep.predictors.adapted_dir import PICTURE
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.teaching import Teaching
from fewstep.predictors.verdict import Verdict, by_leaving_one_out, by_query
from fewstep.report.adaptation import Adaptation, accuracy_line
from fewstep.report.adapted_sheet import adapted_sheet
from fewstep.report.predictions import Prediction, predictions_of
from fewstep.training.adaptable import BY_ADDING, Base, base_of_adapted, base_of_run


def adapt_to_pictures(
    places: Places, steps: int | None = None, *, add: bool = False, device: str = "cpu"
) -> Adaptation:
    """Adapt a run, or with ``add`` an adapted model, and save the result if there is a place."""
    check_out(places, add=add)
    # Mistakes in the folders are told before anything is loaded.
    taught = support_files(places.support, least=1 if add else 2)
    asked = None if places.query is None else query_files(places.query)
    base = base_of_adapted(places.run) if add else base_of_run(places.run, device, BY_ADDING)
    taught = as_known(taught, base.known)
    if asked is not None and places.query is not None:
        asked = as_known(asked, base.known)
        check_query_classes(asked, {*base.known, *(taught.labels or ())}, places.query)
    support = read_support(places.support, taught, base.preparation)
    query = None if asked is None else read_pictures(asked, base.preparation)
    adapted = base.teach(support.x, list(support.labels or ()), steps)
    predictions = [] if query is None else predictions_of(adapted, query)
    done = Adaptation(
        base.config,
        adapted,
        predictions,
        _verdict(base, adapted, query, predictions),
        [*_notes(support, query)],
    )
    if places.out is not None:
        _save(places.out, done, query)
    return done


def _verdict(
    base: Base, adapted: AdaptedClassifier, query: Pictures | None, predictions: list[Prediction]
) -> Verdict | str:
    known = adapted.teaching
    assert isinstance(known, Teaching)
    place = {label: number for number, label in enumerate(adapted.classes)}
    if query is not None and query.labels:
        predicted = [place[one.best[0][0]] for one in predictions]
        truth = [place[label] for label in query.labels]
        return by_query(base.learner, known, predicted, query.x, truth)
    try:
        return by_leaving_one_out(base.learner, known, adapted.about["protocol"]["inner_steps"])
    except InputError as error:
        return str(error)


def _notes(support: Pictures, query: Pictures | None) -> list[str]:
    problems = [*support.problems, *(query.problems if query else [])]
    notes = [f"left out: {problem}" for problem in problems]
    notes += _of_one_picture(support)
    twice = repeated(support, query) if query else []
    if twice:
        many = f"{len(twice)} query pictures are support pictures, too"
        one = "a query picture is a support picture, too"
        told, (asked, taught) = one if len(twice) == 1 else many, twice[0]
        notes.append(f"{told} ({asked} is {taught}): what is predicted for them is no test")
    return notes


def _of_one_picture(support: Pictures) -> Iterator[str]:
    """Of support pictures with the same bytes, the first that stand in two classes, and in one."""
    pairs, labels = alike(support), support.labels or []
    for apart in (True, False):
        found = [(n, m) for n, m in pairs if (labels[n] != labels[m]) is apart]
        if found:
            (one, other), more = found[0], len(found) - 1
            of = f", and {more} more such" if more else ""
            told = "one of them is in a wrong folder" if apart else "it counts twice"
            yield (f"{support.files[one]}: the same bytes as {support.files[other]}{of}: {told}")


def _save(folder: Path, done: Adaptation, query: Pictures | None) -> None:
    known, adapted = done.adapted.teaching, done.adapted
    assert isinstance(known, Teaching)
    how = adapted.preparation
    assert isinstance(how, Preparation)
    empty = torch.zeros(0, how.channels, how.size, how.size, dtype=torch.uint8).numpy()
    title = f"{len(adapted.classes)} classes"
    if isinstance(done.verdict, Verdict):
        title = f"{title}; {accuracy_line(done.verdict)}"
    picture = adapted_sheet(
        title, adapted, known, empty if query is None else query.pixels, done.predictions
    )
    adapted.save(folder)
    write_whole(folder / PICTURE, lambda part: part.write_bytes(picture))
