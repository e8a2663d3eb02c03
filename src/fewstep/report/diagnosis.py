"""A diagnosis as lines for the terminal."""

from __future__ import annotations

from fewstep.evaluation.diagnosis import Figures, findings


def diagnosis_lines(figures: Figures) -> list[str]:
    """One line for each finding, and one where there is none."""
    found = findings(figures) or ["nothing is out of line"]
    return [f"diagnosis: {sentence}" for sentence in found]
