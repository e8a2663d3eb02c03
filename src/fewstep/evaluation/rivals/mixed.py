"""A linear mixed-effects model: a common line, and an intercept and slopes of each task's own.

``y = x beta + z b + noise``, where z is (1, the features with a slope), b of a task is normal with
covariance D and the noise with variance s2 (Laird and Ware 1982). It is fitted by the restricted
likelihood as lme4 does (Bates, Maechler, Bolker and Walker 2015, arXiv 1406.5823, section 3.4):
beta and s2 have a closed form, and all that the rows of a task are needed for are products of z, x
and y, so a step takes as long for a million rows as for few. The search is over the Cholesky factor
of D / s2, where a variance of zero is an ordinary point. statsmodels' MixedLM finds the same, or
stops at a smaller likelihood, as on Hsb82 and gapminder, and takes a hundred times as long.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewstep.evaluation.rivals.rows import Array, Floats, Rows

MOST_CORRELATED = 8
"""Slopes up to which their covariances are estimated too; more of them are independent."""
LEAST_WITHIN = 1e-3
"""Share of a feature's variance that has to lie within tasks for it to have a slope of a task."""


@dataclass(frozen=True)
class MixedModel:
    """A fitted model; its `predict` is a rival.

    Attributes:
        beta: ``[1 + features]``, the common intercept and weights.
        covariance: D, ``[1 + slopes, 1 + slopes]``, of the intercept and slopes of tasks.
        noise: s2, the variance of the noise.
        slopes: ``[slopes]``, the features that have one.
    """

    beta: Floats
    covariance: Floats
    noise: float
    slopes: NDArray[np.int64]

    def effects(self, support_x: Floats, support_y: Array) -> Floats:
        """The best linear unbiased predictor (BLUP) of b, the intercept and slopes of a task.

        ``D z' (z D z' + s2)^-1 (y - x beta)``: Robinson 1991, "That BLUP is a good thing",
        Statistical Science 6(1), equation 1.2 solved for b; Laird and Ware 1982, equation 3.1.
        """
        z = self._z(support_x)
        spread = z @ self.covariance @ z.T + self.noise * np.eye(len(z))
        rest = support_y - _with_one(support_x) @ self.beta
        effects: Floats = self.covariance @ z.T @ np.linalg.solve(spread, rest)
        return effects

    def predict(self, support_x: Floats, support_y: Array, query_x: Floats) -> Array:
        """The common line, and the task's own intercept and slopes from its support rows."""
        own = self._z(query_x) @ self.effects(support_x, support_y)
        prediction: Array = _with_one(query_x) @ self.beta + own
        return prediction

    def _z(self, x: Floats) -> Floats:
        return _with_one(x[:, self.slopes])


def fit_mixed(rows: Rows, numeric: int) -> MixedModel:
    """Fit the model to the rows of all training tasks.

    Args:
        rows: The rows. Features are best of about unit spread.
        numeric: How many features, the first ones, are numbers, which may have a slope in each
            task; the others, categories, have common effects alone.

    Returns:
        The model. A feature that hardly varies within tasks has no slope of a task's own, and one
        that is a sum of others (a category beside all others) has no weight.
    """
    y = rows.y.astype(float)
    slopes = _varying(rows, numeric)
    x, z = _with_one(rows.x), _with_one(rows.x[:, slopes])
    kept = _independent(x)
    task = np.unique(rows.task, return_inverse=True)[1]
    products = _Products.of(task, z, x[:, kept], y)
    factor, weights, noise = _search(products, len(y), correlated=len(slopes) <= MOST_CORRELATED)
    beta = np.zeros(x.shape[1])
    beta[kept] = weights
    return MixedModel(beta, noise * factor @ factor.T, noise, slopes)


@dataclass(frozen=True)
class _Products:
    """Sums over the rows of each task, with all that the likelihood depends on."""

    zz: Tensor  # [tasks, q, q]
    zx: Tensor  # [tasks, q, p + 1]; the last column is that of y
    xx: Tensor  # [p + 1, p + 1], over all tasks

    @classmethod
    def of(cls, task: NDArray[np.int64], z: Floats, x: Floats, y: Floats) -> "_Products":
        xy = np.column_stack([x, y])
        order = np.argsort(task, kind="stable")
        starts = np.flatnonzero(np.diff(task[order], prepend=-1))
        columns = [np.add.reduceat(z[order, i, None] * z[order], starts) for i in range(z.shape[1])]
        zz = np.stack(columns, 1)
        columns = [
            np.add.reduceat(z[order, i, None] * xy[order], starts) for i in range(z.shape[1])
        ]
        return cls(*map(torch.from_numpy, (zz, np.stack(columns, 1), xy.T @ xy)))


def _search(products: _Products, rows: int, *, correlated: bool) -> tuple[Floats, Floats, float]:
    """The factor of D / s2, beta and s2 of the largest restricted likelihood."""
    from scipy.optimize import minimize

    q = products.zz.shape[1]
    places = np.tril_indices(q) if correlated else np.diag_indices(q)

    def factor_of(theta: Tensor) -> Tensor:
        return torch.zeros(q, q, dtype=theta.dtype).index_put(
            tuple(map(torch.from_numpy, places)), theta
        )

    def criterion(values: Floats) -> tuple[float, Any]:
        theta = torch.tensor(values, requires_grad=True)
        deviance = _profiled(products, factor_of(theta), rows)[0]
        return deviance.item(), torch.autograd.grad(deviance, theta)[0].numpy()

    start = np.where(places[0] == places[1], 0.3, 0.0)
    found = minimize(criterion, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    factor = factor_of(torch.from_numpy(found.x))
    _, beta, noise = _profiled(products, factor, rows)
    return factor.numpy(), beta.numpy(), noise.item()


def _profiled(products: _Products, factor: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """The deviance at the best beta and s2 for a factor of D / s2, and these two.

    Bates et al. 2015, equations 41 and 42, up to a constant.
    """
    inner = factor.T @ products.zz @ factor + torch.eye(len(factor), dtype=factor.dtype)
    root = torch.linalg.cholesky(inner)
    part = torch.linalg.solve_triangular(root, factor.T @ products.zx, upper=False)
    whole = products.xx - torch.einsum("tqi,tqj->ij", part, part)
    within, cross = torch.linalg.cholesky(whole[:-1, :-1]), whole[:-1, -1:]
    beta = torch.cholesky_solve(cross, within)
    freedom = max(rows - len(beta), 1)
    noise = (whole[-1, -1] - (cross * beta).sum()).clamp_min(1e-12) / freedom
    deviance = _log_det(root) + _log_det(within) + freedom * noise.log()
    return deviance / freedom, beta[:, 0], noise


def _log_det(root: Tensor) -> Tensor:
    return 2 * root.diagonal(dim1=-2, dim2=-1).log().sum()


def _varying(rows: Rows, numeric: int) -> NDArray[np.int64]:
    """The numeric features of which a part of the variance lies within tasks."""
    x = rows.x[:, :numeric]
    task = np.unique(rows.task, return_inverse=True)[1]
    sizes = np.bincount(task)
    means = np.stack([np.bincount(task, column) / sizes for column in x.T], 1) if numeric else x[:0]
    within = ((x - means[task]) ** 2).mean(0) if numeric else np.zeros(0)
    return np.flatnonzero(within > LEAST_WITHIN * x.var(0))


def _independent(x: Floats) -> NDArray[np.int64]:
    """Columns that are no sums of others, the intercept among them."""
    from scipy.linalg import qr

    lengths = np.sqrt((x**2).sum(0))
    # The intercept counts as the longest column, so that it is never left out.
    lengths[0] /= 2
    scaled = x / np.where(lengths > 0, lengths, 1)
    _, triangle, order = qr(scaled.T @ scaled, pivoting=True, mode="economic")
    sizes = np.abs(np.diag(triangle))
    return np.sort(order[sizes > 1e-9 * sizes[0]])


def _with_one(x: Floats) -> Floats:
    return np.column_stack([np.ones(len(x)), x])
