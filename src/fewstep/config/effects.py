"""Refuses settings that would have no effect."""

from collections.abc import Iterator

from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.limits import Only, rules
from fewstep.config.registry import DATA_SETS, NETWORKS, network_key
from fewstep.config.schema import Config
from fewstep.errors import InputError

_OWN = {
    "folder": "a folder of pictures first, as in fewstep train photos/",
    "table": "a table first, as in fewstep train exams.csv",
}


def check_effects(config: Config, defaults: Config) -> None:
    """See that every setting that differs from its default has an effect.

    For what a user gives: recipes and the config of a run hold settings without one.
    """
    of_settings = rules(type(config))
    changed = [n for n in of_settings if getattr(config, n) != getattr(defaults, n)]
    for name in changed:
        for rule in (*_of_registries(name), *of_settings[name]):
            if isinstance(rule, Only) and _value(config, rule.other) not in rule.values:
                raise InputError(
                    f"{name} is {getattr(config, name)} with {rule.other} "
                    f"{getattr(config, rule.other)}, which has no such setting; leave {name} out "
                    f"or {_remedy(rule)}"
                )
    if config.precision == "tf32" and config.device.startswith("cpu"):
        raise InputError(
            f"precision is tf32 on device {config.device}, where products are float32; leave "
            "precision out or choose device cuda"
        )


def _remedy(rule: Only) -> str:
    """How a setting gets an effect. Data of one's own are not chosen by name."""
    if rule.other == "data" and rule.values[0] in _OWN:
        return f"give {_OWN[str(rule.values[0])]}"
    return f"choose {rule.other} {rule.values[0]}"


def _value(config: Config, name: str) -> object:
    """The value of a setting, or the key of its entry."""
    return network_key(config.model) if name == "model" else getattr(config, name)


def _of_registries(name: str) -> Iterator[Only]:
    """The algorithms, networks and data sets that have a setting, where not all of them do."""
    for other, entries in (("algorithm", ALGORITHMS), ("model", NETWORKS), ("data", DATA_SETS)):
        having = [key for key, entry in entries.items() if name in entry.settings]
        if having:
            yield Only(other, tuple(having))
