"""The protocol of each recipe with budgets: the paper's, where ours departs from it, and why.

``fewstep recipes NAME`` and the page on Omniglot are made of these lines alone. What settings say
is read from the settings, so no line can tell another value than the one that is trained with.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fewstep.config.algorithms import steps_in_words
from fewstep.config.budgets import BUDGETS
from fewstep.config.schema import Config, has_batch_norm
from fewstep.published.of_run import cell_config


class Item(NamedTuple):
    """One item of a protocol.

    Attributes:
        what: The item.
        paper: As the paper or its authors' program has it.
        budgets: As each budget has it, in the order of `BUDGETS`.
        why: Why a budget departs from the paper; empty where none does.
    """

    what: str
    paper: str
    budgets: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True)
class _Setting:
    """An item that settings decide; the paper's value is that of the budget ``paper``."""

    what: str
    told: Callable[[Config], str]
    why: str  # of the departure of ``fast`` on Omniglot, where it was tuned


def _halved(config: Config) -> str:
    return "a stride of 2" if config.downsample == "stride" else "max-pooling"


def _inner_loop(config: Config) -> str:
    steps = steps_in_words(config.algorithm, config.inner_steps)
    learned = ", learned for each tensor and step" if config.step_sizes == "per-step" else ""
    return f"{steps} of {config.inner_lr:g}{learned}; in the test {config.test_inner_steps}"


def _derivative(config: Config) -> str:
    if config.order == "first":
        return "first order"
    share = config.first_order_share
    return f"first order for {share:.0%} of the outer steps, then exact" if share else "exact"


def _earlier_steps(config: Config) -> str:
    share = config.multi_step_loss
    return f"for {share:.0%} of the outer steps" if share else "never"


def _rows(config: Config) -> str:
    return "one row for all classes" if config.head_rows == "shared" else "a row for each class"


def _moved(config: Config) -> str:
    return f"by up to {config.crop} pixels, at random" if config.crop else "never"


def _query_norm(config: Config) -> str:
    return config.norm if has_batch_norm(config) else "no batch norm"


_OPTIMISERS = {"adam": "Adam", "muon": "Muon for convolutions and Adam for the rest"}


def _optimiser(config: Config) -> str:
    rate = f"{_OPTIMISERS[config.optimizer]}, {config.outer_lr:g}"
    if config.final_outer_lr is None:
        return f"{rate} throughout"
    return f"{rate}, falling to {config.final_outer_lr:g} along half a cosine"


def _kept(config: Config) -> str:
    if not config.ema_decay:
        return "the learned ones"
    return f"their moving average, of decay {config.ema_decay:g}"


_SETTINGS = (
    _Setting("network", lambda c: f"four convolutions of {c.filters} filters", ""),
    _Setting("halved by", _halved, "more accurate after the same time"),
    _Setting("norm", lambda c: f"{c.model_norm} norm", "it judges each picture by itself"),
    _Setting(
        "last layer at first",
        _rows,
        "it serves any number of classes; the first inner step then moves the last layer alone",
    ),
    _Setting(
        "classes of a training task",
        lambda c: str(c.n_way),
        "features that tell many classes apart serve a few as well",
    ),
    _Setting(
        "support pictures of each class, in training",
        lambda c: str(c.k_shot),
        "more query pictures in the same time tell the outer gradient better",
    ),
    _Setting("training pictures are moved", _moved, "less is learned by heart"),
    _Setting("inner loop", _inner_loop, "fewer steps take less time; learned sizes make up for it"),
    _Setting("derivative of the inner loop", _derivative, ""),
    _Setting("losses after earlier inner steps count", _earlier_steps, "there is one inner step"),
    _Setting("outer steps", lambda c: f"{c.steps:,}", "a short schedule is what the budget is for"),
    _Setting(
        "tasks of an outer step",
        lambda c: str(c.meta_batch),
        "more outer steps in the same time",
    ),
    _Setting(
        "query pictures of each class, in training",
        lambda c: str(c.q_query),
        "as many as tell the outer gradient best in the same time",
    ),
    _Setting(
        "outer optimiser",
        _optimiser,
        "higher accuracy after the same time, on validation classes",
    ),
    _Setting("weights that are tested", _kept, "an average evens out what large outer steps shake"),
    _Setting(
        "batch norm of the query sets",
        _query_norm,
        "as good for one picture at a time",
    ),
)
_NOT_TUNED = "not tuned for photographs: what all algorithms have here, or this one has everywhere"
_RELU = Item("activation", "ReLU", ("ReLU",) * 2, "")
_BEST = Item(
    "checkpoint that is tested",
    "not said",
    ("the best on validation classes",) * 2,
    "one rule, which no test class decides",
)
_TURNED = Item(
    "turned characters",
    "each class of a training task turned at random by a multiple of 90 degrees",
    ("characters turned by 90, 180 and 270 degrees are training classes of their own",) * 2,
    "a character and itself turned may meet in a task; test characters are never turned",
)
_DATA: dict[tuple[str, bool], tuple[Item, ...]] = {
    ("omniglot", False): (
        Item(
            "pictures",
            "28 x 28; the program asks for Lanczos, but of 1-bit pictures, where Pillow takes the "
            "nearest pixel",
            ("28 x 28, ink 1 and paper 0, shrunk with Lanczos in shades of grey",) * 2,
            "what the program means to do",
        ),
        _TURNED,
        Item(
            "classes",
            "1,200 to train, 100 of them to validate in the program; 423 to test",
            ("1,100 to train, 100 to validate, 423 to test",) * 2,
            "the same numbers, shuffled with another seed",
        ),
        _RELU,
        _BEST,
    ),
    ("omniglot", True): (
        _TURNED,
        Item(
            "classes",
            "71% to train, 3% to validate, 26% to test",
            ("1,100 to train, 100 to validate, 423 to test",) * 2,
            "the classes that the other recipes have",
        ),
        Item(
            "activation", "LeakyReLU since 2019", ("ReLU",) * 2, "the network of the other recipes"
        ),
    ),
    ("mini-imagenet", False): (
        Item("classes", "64 / 12 / 24, it says", ("64 / 16 / 20",) * 2, "the split that it names"),
        _RELU,
        Item(
            "outer gradient",
            "each number clipped to ±10, in the program",
            ("not clipped",) * 2,
            "a run whose loss is not finite stops and says so",
        ),
        _BEST,
    ),
    ("mini-imagenet", True): (
        Item(
            "pictures",
            "normalised by ImageNet's mean and deviation",
            ("from 0 to 1",) * 2,
            "as MAML's",
        ),
        Item(
            "outer gradient",
            "each number clipped to ±10",
            ("not clipped",) * 2,
            "a run whose loss is not finite stops and says so",
        ),
    ),
}


def protocol_of(recipe: str, algorithm: str) -> list[Item]:
    """The protocol of an algorithm on a recipe, in the paper and with each budget.

    >>> lines = protocol_of("omniglot-20way-1shot", "maml")
    >>> [line.paper for line in lines if line.what == "tasks of an outer step"]
    ['16']
    """
    configs = [cell_config(recipe, algorithm, budget) for budget in BUDGETS]
    paper = configs[BUDGETS.index("paper")]
    plus_plus = algorithm == "maml++"
    lines = [*_DATA[paper.data, plus_plus]]
    for setting in _SETTINGS:
        of_paper, ours = setting.told(paper), tuple(setting.told(config) for config in configs)
        why = setting.why if paper.data == "omniglot" else _NOT_TUNED
        why = why if {*ours} != {of_paper} else ""
        lines.append(Item(setting.what, of_paper, ours, why))
    return [*lines, *_of_test(configs, plus_plus)]


def _of_test(configs: Sequence[Config], plus_plus: bool) -> list[Item]:
    """How the papers test, and how all rows of a recipe are tested here."""
    one = configs[0]
    ours = tuple(f"{config.test_tasks} tasks" for config in configs)
    k_shot, q_query = one.shots("test")
    theirs = ("1" if one.data == "omniglot" else "15") if plus_plus else str(k_shot)
    queries = (str(q_query),) * len(configs)
    alike = "so that all rows of a recipe are of one test, the MAML paper's"
    model = "the mean of the logits of the 5 best checkpoints" if plus_plus else "one model"
    beside = "one model; the mean of the logits of the 5 best checkpoints in a column of its own"
    return [
        Item("test", "600 tasks", ours, "" if {*ours} == {"600 tasks"} else "a narrower interval"),
        Item(
            "query pictures of each class, in the test",
            theirs,
            queries,
            "" if {theirs} == {*queries} else alike,
        ),
        Item(
            "test result",
            f"{model}, transductive batch norm",
            (f"{beside}; transductive and inductive batch norm",) * len(configs),
            "one model at a time, and one picture at a time, is how models are used",
        ),
    ]


def merged(recipes: Sequence[str], algorithm: str) -> list[Item]:
    """The protocols of several recipes as one, each value with the recipes that have it."""
    # As in "5-way 1-shot".
    names = [re.sub(r"-?(\d+)(way|shot)", r" \1-\2", recipe).split(" ", 1)[1] for recipe in recipes]
    every = [protocol_of(recipe, algorithm) for recipe in recipes]
    found = []
    for lines in zip(*every, strict=True):
        paper = _together(names, [line.paper for line in lines])
        ours = tuple(
            _together(names, [line.budgets[i] for line in lines]) for i in range(len(BUDGETS))
        )
        why = next((line.why for line in lines if line.why), "")
        found.append(Item(lines[0].what, paper, ours, why))
    return found


def _together(names: Sequence[str], values: Sequence[str]) -> str:
    """Values of several recipes; each once, with who has it where not all do."""
    if len({*values}) == 1:
        return values[0]
    told = []
    for value in dict.fromkeys(values):
        having = {name for name, other in zip(names, values, strict=True) if other == value}
        told.append(f"{value} ({_in_short(names, having)})")
    return ", ".join(told)


def _in_short(names: Sequence[str], having: set[str]) -> str:
    """The names, or the word that they alone have."""
    for word in dict.fromkeys(word for name in names for word in name.split()):
        if {name for name in names if word in name.split()} == having:
            return word
    return " and ".join(name for name in names if name in having)
