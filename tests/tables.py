"""Small tables whose rows can be told apart, and tables as files."""

from itertools import count

import numpy as np
import pandas as pd


def numbered(*lengths):
    """A task of each length, a to z; every row has a number of its own as input and as target."""
    number = count()
    rows = [(chr(97 + i), next(number)) for i, length in enumerate(lengths) for _ in range(length)]
    tasks, values = zip(*rows, strict=True)
    return pd.DataFrame({"school": tasks, "hours": values, "score": values})


def lines(tasks=12, rows=14, seed=0):
    """Tasks y = 100 + 20 (slope x + noise), as a person would keep them."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(tasks, rows))
    y = 100 + 20 * (random.normal(1, 0.5, (tasks, 1)) * x + 0.1 * random.normal(size=x.shape))
    names = np.repeat([f"site {i}" for i in range(tasks)], rows)
    return pd.DataFrame({"site": names, "raw": x.ravel(), "level": y.ravel()})
