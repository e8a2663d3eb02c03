"""The bases that own pictures are taught to: a run, or a model that was adapted before."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from fewstep.config.file import read_config
from fewstep.config.schema import Config
from fewstep.data.preparation import Preparation
from fewstep.errors import InputError
from fewstep.learners.base import Learner
from fewstep.predictors import adapted_dir
from fewstep.predictors.adapt import adapt_classifier
from fewstep.predictors.adapted_dir import is_adapted, teaching_of
from fewstep.predictors.classifier import AdaptedClassifier, Label
from fewstep.predictors.further import Adapted, started, with_more
from fewstep.predictors.loading import load_adapted
from fewstep.training.described import is_made_by_fit
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Trained, load_trained


@dataclass(frozen=True)
class Base:
    """An initialisation to adapt from.

    Attributes:
        learner: With that initialisation.
        config: Of the run.
        preparation: How a picture becomes an example.
        teach: Adapts to examples and their labels, in so many inner steps.
        known: The classes that are known already.
    """

    learner: Learner
    config: Config
    preparation: Preparation
    teach: Callable[[Tensor, list[str], int | None], AdaptedClassifier]
    known: tuple[Label, ...] = ()


BY_ADDING = ", or teach it more with --add"


def takes_tables(path: Path, *, add: bool = False) -> bool:
    """Whether a run, or with ``add`` an adapted model, takes rows of a table.

    Raises:
        InputError: It is another thing, or damaged.
    """
    if is_adapted(path):
        return adapted_dir.takes_tables(path)
    if add:
        adapted_of(path)  # says what it is
    config = RunDir(path).config
    return not is_made_by_fit(config) and read_config(config).data == "table"


def trained_of(path: Path, device: str, other: str = "") -> Trained:
    """A run of the command line without its data; `InputError` where it is another, or none.

    ``other`` is what else can be done with an adapted model.
    """
    if is_adapted(path):
        raise InputError(f"{path} is an adapted model; give the run that it came from{other}")
    if is_made_by_fit(RunDir(path).config):
        raise InputError(
            f"{path} was made by fewstep.fit with a network of your own; adapt it in Python, as in "
            f'fewstep.FewShotClassifier(fewstep.load("{path}", model).learner).fit(files, labels)'
        )
    return load_trained(path, device)


def base_of_run(path: Path, device: str, other: str = "") -> Base:
    """The initialisation of a run of pictures with classes; ``other`` as in `trained_of`.

    Raises:
        InputError: It is another run, or none.
    """
    run = trained_of(path, device, other)
    spec, how = run.form.spec, run.form.preparation
    if spec.kind != "classification" or not isinstance(how, Preparation):
        raise InputError(
            f"{path} is a {spec.kind} run on {run.config.data}; expected a run on pictures with "
            "classes, as of fewstep train glyphs-5way-1shot"
        )

    def teach(x: Tensor, labels: list[str], steps: int | None) -> AdaptedClassifier:
        return adapt_classifier(
            run.learner,
            x,
            labels,
            steps=steps,
            preparation=how,
            temperature=run.temperature,
            threshold=run.threshold,
            config=run.config,
        )

    return Base(run.learner, run.config, how, teach)


def adapted_of(path: Path) -> tuple[Adapted, Learner]:
    """An adapted model, and the learner that it was adapted from.

    Raises:
        InputError: It is none, or a network of the user's own.
    """
    if not is_adapted(path) and RunDir(path).config.exists():
        raise InputError(f"{path} is a run directory; leave --add out to adapt it")
    adapted = load_adapted(path)
    known = teaching_of(adapted.teaching)
    if known is None:
        raise InputError(
            f"{path} does not hold what it was adapted from; adapt its run anew on all examples"
        )
    return adapted, started(adapted, known, None)


def base_of_adapted(path: Path) -> Base:
    """The initialisation and the support set of an adapted model.

    Raises:
        InputError: It is none of pictures with classes, or a network of the user's own.
    """
    adapted, learner = adapted_of(path)
    how = adapted.preparation
    if not isinstance(adapted, AdaptedClassifier) or not isinstance(how, Preparation):
        raise InputError(
            f"{path} is an adapted model that takes no pictures; teach it in Python, as in "
            f'fewstep.load("{path}")'
        )
    assert learner.config is not None
    teach = partial(_teach_more, adapted)
    return Base(learner, learner.config, how, teach, adapted.classes)


def _teach_more(
    adapted: AdaptedClassifier, x: Tensor, labels: list[str], steps: int | None
) -> AdaptedClassifier:
    more = with_more(adapted, x, labels, steps=steps)
    assert isinstance(more, AdaptedClassifier)
    return more
