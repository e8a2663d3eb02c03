"""The figures of the papers, beside which fewstep's own stand, and how they were measured."""

from dataclasses import dataclass
from typing import Literal

Meaning = Literal["interval", "deviation", "unknown"]
Known = Literal["read", "quoted", "memory"]

MEANINGS: dict[Meaning, str] = {
    "interval": "± is the 95% interval over 600 tasks of one model",
    "deviation": "± is the standard deviation over 3 seeds, each the average of checkpoints",
    "unknown": "it is not said what ± is",
}
KNOWN: dict[Known, str] = {
    "read": "",
    "quoted": "as others quote it",
    "memory": "from memory, not checked",
}


@dataclass(frozen=True)
class PaperFigure:
    """An accuracy that a paper reports, as a fraction.

    Attributes:
        accuracy: The mean.
        half: The number after ±, a fraction.
        meaning: Of the number after ±.
        known: Whether it was read in the paper itself.
        source: The paper.
        protocol: How it was tested.
        is_average: Whether several checkpoints gave it together.
    """

    accuracy: float
    half: float
    meaning: Meaning
    known: Known
    source: str
    protocol: str
    is_average: bool = False

    @property
    def shown(self) -> str:
        """The figure in percent, with as many digits as the paper gives.

        >>> of_paper("omniglot-5way-1shot", "maml").shown
        '98.7 ± 0.4'
        """
        both = [100 * self.accuracy, 100 * self.half]
        digits = 1 if all(abs(10 * v - round(10 * v)) < 1e-6 for v in both) else 2
        return " ± ".join(f"{value:.{digits}f}" for value in both)

    @property
    def note(self) -> str:
        """The meaning of ±, and how the figure is known."""
        return "; ".join(part for part in (MEANINGS[self.meaning], KNOWN[self.known]) if part)


MAML, REPTILE = "Finn, Abbeel and Levine 2017", "Nichol, Achiam and Schulman 2018"
MAML_PLUS_PLUS = "Antoniou, Edwards and Storkey 2019"
_K_QUERY = "600 test tasks, K query pictures of each class, transductive batch norm, one model"
_OF_REPTILE = "transductive batch norm; its test tasks are not known here"
_AVERAGE = "600 test tasks, {} of each class, transductive batch norm, average of checkpoints"
_ONE, _FIFTEEN = _AVERAGE.format("1 query picture"), _AVERAGE.format("15 query pictures")


def _maml(percent: float, half: float) -> PaperFigure:
    return PaperFigure(percent / 100, half / 100, "interval", "read", MAML, _K_QUERY)


def _first_order(percent: float, half: float) -> PaperFigure:
    told = (percent / 100, half / 100)
    return PaperFigure(*told, "unknown", "quoted", REPTILE, _OF_REPTILE)


def _plus_plus(percent: float, half: float, known: Known, protocol: str) -> PaperFigure:
    told = (percent / 100, half / 100)
    return PaperFigure(*told, "deviation", known, MAML_PLUS_PLUS, protocol, is_average=True)


_FIGURES = {
    ("omniglot-5way-1shot", "maml"): _maml(98.7, 0.4),
    ("omniglot-5way-5shot", "maml"): _maml(99.9, 0.1),
    ("omniglot-20way-1shot", "maml"): _maml(95.8, 0.3),
    ("omniglot-20way-5shot", "maml"): _maml(98.9, 0.2),
    ("mini-imagenet-5way-1shot", "maml"): _maml(48.70, 1.84),
    ("mini-imagenet-5way-5shot", "maml"): _maml(63.11, 0.92),
    ("mini-imagenet-5way-1shot", "fomaml"): _maml(48.07, 1.75),
    ("mini-imagenet-5way-5shot", "fomaml"): _maml(63.15, 0.91),
    ("omniglot-5way-1shot", "fomaml"): _first_order(98.3, 0.5),
    ("omniglot-5way-5shot", "fomaml"): _first_order(99.2, 0.2),
    ("omniglot-20way-1shot", "fomaml"): _first_order(89.4, 0.5),
    ("omniglot-20way-5shot", "fomaml"): _first_order(97.9, 0.1),
    ("omniglot-20way-1shot", "maml++"): _plus_plus(97.65, 0.05, "memory", _ONE),
    ("omniglot-20way-5shot", "maml++"): _plus_plus(99.33, 0.03, "memory", _ONE),
    ("mini-imagenet-5way-1shot", "maml++"): _plus_plus(52.15, 0.26, "quoted", _FIFTEEN),
    ("mini-imagenet-5way-5shot", "maml++"): _plus_plus(68.32, 0.44, "quoted", _FIFTEEN),
}


def of_paper(recipe: str, algorithm: str) -> PaperFigure | None:
    """The figure that a paper has for an algorithm and a recipe, if it has one."""
    return _FIGURES.get((recipe, algorithm))
