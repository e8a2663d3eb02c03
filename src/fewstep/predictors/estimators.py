"""FewShotClassifier and FewShotRegressor: learners as estimators of scikit-learn."""

import inspect
import math
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fewstep.choices import Norm
from fewstep.data.any_preparation import AnyPreparation
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.rows_of import frame_of
from fewstep.errors import InputError
from fewstep.learners.base import Learner
from fewstep.learners.is_learner import check_learner
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from fewstep.predictors.inputs import is_rows_of_numbers
from fewstep.predictors.labelled import labelled, preparation_of
from fewstep.predictors.targets import no_texts

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_array, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
except ImportError as error:
    raise InputError(
        "FewShotClassifier and FewShotRegressor are estimators of scikit-learn, which is not "
        "installed; install it with: pip install 'fewstep[tables]'"
    ) from error


class _FewShot(BaseEstimator):
    """The part that both have in common."""

    adapted_: Any

    def __repr__(self) -> str:
        """The settings that are not the usual ones; of the learner, which is long, its name."""
        told = [f"learner={type(self.learner).__name__}(...)"]
        for name, usual in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if name != "learner" and value != usual.default:
                told.append(f"{name}={_short(value)}")
        return f"{type(self).__name__}({', '.join(told)})"

    def save(self, folder: str | Path) -> None:
        """Write the adapted model as a folder, which `fewstep.load` reads.

        Raises:
            InputError: The folder cannot be written, or holds something else.
            NotFittedError: It was not fitted.
        """
        check_is_fitted(self, "adapted_")
        self.adapted_.save(folder)

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("steps", "norm", "preparation")}

    def _support(self, x: Any) -> Any:
        """The examples to fit, those of a table as scikit-learn checks them."""
        how = self.preparation or getattr(check_learner(self.learner), "preparation", None)
        if isinstance(how, TablePreparation):
            return self._rows(x, how, reset=True)
        if is_rows_of_numbers(x):
            return self._table(x, reset=True)
        for name in ("feature_names_in_", "n_features_in_"):
            if hasattr(self, name):
                delattr(self, name)
        return x

    def _keep(self, adapted: Any) -> Self:
        self.adapted_ = adapted
        if not isinstance(adapted.preparation, TablePreparation):
            self.n_features_in_ = math.prod(adapted.about["example_shape"])
        return self

    def _query(self, x: Any) -> Any:
        check_is_fitted(self, "adapted_")
        how = self.adapted_.preparation
        if isinstance(how, TablePreparation):
            return self._rows(x, how, reset=False)
        if is_rows_of_numbers(x) and len(self.adapted_.about["example_shape"]) == 1:
            return self._table(x, reset=False)
        return x

    def _rows(self, x: Any, how: TablePreparation, *, reset: bool) -> Any:
        """The input columns of a table by name, in the order that the learner knows."""
        frame = frame_of(x, how)[list(how.inputs)]
        validate_data(self, frame, skip_check_array=True, reset=reset)
        return frame

    def _table(self, x: Any, *, reset: bool) -> Any:
        array = x.detach().cpu().numpy() if isinstance(x, Tensor) else x
        return validate_data(self, array, dtype=[np.float64, np.float32], reset=reset)


class FewShotClassifier(ClassifierMixin, _FewShot):
    """Adapts a learner to the classes of its support set, which may be any number.

    Args:
        learner: Any learner of a classification, trained by `fewstep.fit` or loaded by
            `fewstep.load`. It is not changed.
        steps: How many inner steps; those of the run's validation, or of the learner unless given.
        norm: Which statistics batch norm uses: those of the support set (``"inductive"``), so that
            a prediction depends on its example alone, or those of the examples that are predicted
            together.
        preparation: How pictures become examples; the learner's own unless given.
        temperature: What outputs are divided by before they become probabilities; the learner's own
            unless given.

    Attributes:
        classes_: The labels, sorted.
        n_features_in_: Numbers of an example.
        feature_names_in_: Names of the columns, where a table had such.
        adapted_: The adapted model itself.

    Raises:
        InputError: On fitting, where the learner is none of a classification or the support set
            does not fit.

    >>> import torch, fewstep
    >>> seeded = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5))
    >>> learner = fewstep.ProtoNet(model)
    >>> classifier = fewstep.FewShotClassifier(learner)
    >>> classifier = classifier.fit([[0, 1], [1, 0], [0, 2]], ["owl", "crow", "owl"])
    >>> classifier.predict([[2, 0]]), classifier.classes_
    (array(['crow'], dtype='<U4'), array(['crow', 'owl'], dtype='<U4'))
    """

    def __init__(
        self,
        learner: Learner,
        steps: int | None = None,
        norm: Norm = "inductive",
        preparation: AnyPreparation | None = None,
        temperature: float | None = None,
    ) -> None:
        self.learner = learner
        self.steps = steps
        self.norm = norm
        self.preparation = preparation
        self.temperature = temperature

    def fit(self, x: Any, y: Any = None) -> Self:
        """Adapt to a support set.

        Args:
            x: Examples: paths, bytes or pictures of Pillow, arrays, a tensor, a table. Without
                ``y``, the path of a folder with a folder a class, a `fewstep.data.ImageFolder`, or
                ``{label: examples}``.
            y: One label an example: strings or whole numbers.

        Raises:
            InputError: The learner is none of a classification, or the support set does not fit.
        """
        settings = self._settings()
        if settings["preparation"] is None and getattr(self.learner, "preparation", None) is None:
            settings["preparation"] = preparation_of(x)
        if y is None:
            x, y = labelled(x)
        examples = self._support(x)
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        # An array would make strings of numbers among strings.
        given = y if isinstance(y, list | tuple) else labels
        adapted = adapt_classifier(
            self.learner, examples, given, temperature=self.temperature, **settings
        )
        of_table = isinstance(adapted.preparation, TablePreparation)
        self.classes_ = np.array(adapted.classes) if of_table else np.unique(labels)
        return self._keep(adapted)

    def predict_proba(self, x: Any) -> npt.NDArray[np.float64]:
        """The probability of each class, ``[examples, classes]`` in the order of ``classes_``.

        Args:
            x: Examples of any kind that `fit` takes with ``y``; one path is one picture.

        Raises:
            InputError: The examples do not fit.
            NotFittedError: It was not fitted.
        """
        query = self._query(x)
        found: npt.NDArray[np.float64] = self.adapted_.predict_proba(query)
        return found

    def predict(self, x: Any) -> npt.NDArray[Any]:
        """The label of each example; arguments and errors are those of `predict_proba`."""
        best = self.predict_proba(x).argmax(1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def score(self, x: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The accuracy on examples and labels, which are given as to `fit`."""
        if y is None:
            x, y = labelled(x)
        return float(super().score(x, y, sample_weight))


class FewShotRegressor(RegressorMixin, _FewShot):
    """Adapts a learner to the function of its support set.

    Args:
        learner: Any learner of a regression. It is not changed.
        steps: As in `FewShotClassifier`.
        norm: As in `FewShotClassifier`.
        preparation: As in `FewShotClassifier`.

    Attributes:
        n_features_in_: Numbers of an example.
        feature_names_in_: Names of the columns, where a table had such.
        adapted_: The adapted model itself.

    Raises:
        InputError: On fitting, where the learner is none of a regression or the support set does
            not fit.

    >>> import torch, fewstep
    >>> learner = fewstep.MAML(torch.nn.Linear(1, 1), inner_lr=0.1, inner_steps=50, loss="mse")
    >>> regressor = fewstep.FewShotRegressor(learner).fit([[0], [1], [2]], [1, 3, 5])
    >>> regressor.predict([[3]]).round()
    array([7.])
    """

    def __init__(
        self,
        learner: Learner,
        steps: int | None = None,
        norm: Norm = "inductive",
        preparation: AnyPreparation | None = None,
    ) -> None:
        self.learner = learner
        self.steps = steps
        self.norm = norm
        self.preparation = preparation

    def fit(self, x: Any, y: Any) -> Self:
        """Adapt to a support set.

        Args:
            x: Examples, as in `FewShotClassifier.fit`.
            y: Their targets, ``[examples]`` or ``[examples, outputs]``.

        Raises:
            InputError: The learner is none of a regression, or the support set does not fit.
        """
        if y is None:
            raise InputError(
                "requires y to be passed, but the target y is None; give one target an example"
            )
        examples = self._support(x)
        targets = check_array(no_texts(y, x), ensure_2d=False, dtype=np.float64, input_name="y")
        if targets.shape[1:] == (1,):
            targets = column_or_1d(targets, warn=True)
        if is_rows_of_numbers(x):
            check_consistent_length(examples, targets)
        adapted = adapt_regressor(self.learner, examples, targets, **self._settings())
        return self._keep(adapted)

    def predict(self, x: Any) -> npt.NDArray[np.float64]:
        """The predictions, ``[examples]`` or ``[examples, outputs]``, in the unit of ``y``.

        Args:
            x: Examples of any kind that `fit` takes.

        Raises:
            InputError: The examples do not fit.
            NotFittedError: It was not fitted.
        """
        query = self._query(x)
        found: npt.NDArray[np.float64] = self.adapted_.predict(query)
        return found

    def predict_interval(self, x: Any) -> npt.NDArray[np.float64]:
        """The 95% interval of each prediction, ``[examples, 2]``.

        Args:
            x: As in `predict`.

        Raises:
            InputError: The examples do not fit, or the interval is not known, as of a learner that
                no run with one was loaded for.
            NotFittedError: It was not fitted.
        """
        query = self._query(x)
        found: npt.NDArray[np.float64] = self.adapted_.predict_interval(query)
        return found


def _short(value: Any) -> str:
    """A plain setting; of a preparation, which is long, its name."""
    plain = isinstance(value, str | int | float)
    return repr(value) if plain else f"{type(value).__name__}(...)"
