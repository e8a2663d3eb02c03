"""Rows of tasks of a user's own, with a number, a category and a target that depends on both."""

import numpy as np
import pandas as pd

INPUTS = ["hours", "colour"]


def rows_of_task(name, rows=12, seed=0):
    """The rows of one school, whose scores have a slope and a level of their own."""
    random = np.random.default_rng([seed, *name.encode()])
    slope, level = random.normal(size=2)
    hours = random.normal(50, 5, rows).round(2)
    colour = random.choice(["red", "green", "blue"], rows)
    noise = random.normal(0, 0.5, rows)
    score = 100 + 5 * level + slope * (hours - 50) + 3 * (colour == "red") + noise
    passed = np.where(score > 100, "yes", "no")
    columns = {"hours": hours, "colour": colour, "score": score.round(2), "passed": passed}
    return pd.DataFrame({"school": name, **columns})


def rows_of_tasks(tasks=12, rows=12):
    """The rows of several schools."""
    return pd.concat([rows_of_task(f"s{n:02}", rows) for n in range(tasks)], ignore_index=True)
