"""The help of ``fewstep train`` for data of one's own, without the settings of other data."""

from dataclasses import fields, make_dataclass
from typing import Any, TypeVar, get_type_hints

from tyro.conf import OmitArgPrefixes, Suppress

from fewstep.config.algorithms import BATCH_NORM
from fewstep.config.registry import DATA_SETS, NETWORKS
from fewstep.config.schema import Config

Options = TypeVar("Options")


def suited(options: Options, config: Config) -> Options:
    """The same options, of which the help leaves out what has no effect for data of one's own.

    Args:
        options: Groups of settings, and what is no setting.
        config: Of a table or of a folder of pictures.
    """
    hidden, made = without_effect(config), {}
    for field in fields(options):  # type: ignore[arg-type]
        group = getattr(options, field.name)
        if hasattr(group, "__dataclass_fields__"):
            made[field.name] = _without(type(group), hidden)(**vars(group))
    hints = [(name, _marked(OmitArgPrefixes, type(group))) for name, group in made.items()]
    kind: Any = make_dataclass(type(options).__name__, hints, bases=(type(options),), frozen=True)
    kind.__doc__ = type(options).__doc__
    told: Options = kind(**{**vars(options), **made})
    return told


def without_effect(config: Config) -> set[str]:
    """Names of the settings that have no effect on this data, with any network that suits it."""
    own, series = config.data_set, config.data == "table"
    examples = {own.examples, *(["series"] if series else [])}
    has = {name for of in NETWORKS.values() if of.examples in examples for name in of.settings}
    lacks = {name for of in NETWORKS.values() for name in of.settings} - has
    lacks |= {name for of in DATA_SETS.values() for name in of.settings} - {*own.settings}
    lacks |= set() if "norm" in has else {*BATCH_NORM, "per_step_statistics"}
    # The data are told by the first word, and budgets are of recipes.
    return lacks | {"data", "budget"} | (set() if own.has_folder else {"data_dir"})


def _without(kind: type, hidden: set[str]) -> Any:
    """A group of settings without some in its help."""
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind) if field.name in hidden]
    of_names = [(name, _marked(Suppress, hints[name])) for name in names]
    made = make_dataclass(kind.__name__, of_names, bases=(kind,), frozen=True)
    made.__doc__ = kind.__doc__
    return made


def _marked(marker: Any, hint: Any) -> Any:
    """A type for tyro that is known only now."""
    return marker[hint]
