"""Which settings have an effect beside which others: what a run would ignore is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from fewstep.config.registry import DATA_SETS, NETWORKS, DataSet, Network
from fewstep.config.schema import OF_MAML, Config
from fewstep.errors import InputError


def check_effects(config: Config, defaults: Config) -> None:
    """See that every setting that differs from its default has an effect.

    Defaults may lack one: a recipe has values for all that some algorithm needs. So this is for
    what a user gives, and not for the config of a run, which holds every setting.

    Raises:
        InputError: Names the setting, and the other one beside which it has none.
    """
    for names, other, values in _EFFECTIVE:
        beside = getattr(config, other)
        for name in names:
            value = getattr(config, name)
            if value != getattr(defaults, name) and beside not in values:
                raise InputError(
                    f"{name} is {value} with {other} {beside}, which has no such setting; leave "
                    f"{name} out or choose {other} {next(iter(values))}"
                )
    if config.precision == "tf32" and config.device.startswith("cpu"):
        raise InputError(
            f"precision is tf32 on device {config.device}, where products are float32; leave "
            "precision out or choose device cuda"
        )


_WITH_INNER_LOOP = (*OF_MAML, "reptile", "imaml", "protomaml", "finetune")
_META_LEARNING = (*OF_MAML, "reptile", "imaml", "protomaml", "protonet")


def _by_entry(
    kind: str, entries: Mapping[str, DataSet | Network]
) -> list[tuple[tuple[str], str, tuple[str, ...]]]:
    """Each setting that some entries of a registry have, and the names of those."""
    settings = dict.fromkeys(setting for entry in entries.values() for setting in entry.settings)
    return [
        ((setting,), kind, tuple(n for n, entry in entries.items() if setting in entry.settings))
        for setting in settings
    ]


_EFFECTIVE: tuple[tuple[tuple[str, ...], str, tuple[str, ...] | range], ...] = (
    (
        (
            *("inner_optimizer", "adapting", "step_sizes", "order", "first_order"),
            *("multi_step_loss", "per_step_affine", "per_step_statistics", "compile"),
        ),
        "algorithm",
        OF_MAML,
    ),
    (("memory",), "algorithm", (*OF_MAML, "protomaml")),
    (("memory", "first_order"), "order", ("exact",)),
    (("multi_step_loss",), "inner_steps", range(2, sys.maxsize)),
    (("inner_lr",), "algorithm", _WITH_INNER_LOOP),
    # Fine-tuning takes no inner steps while it trains, and test_inner_steps after that.
    (("inner_steps",), "algorithm", tuple(a for a in _WITH_INNER_LOOP if a != "finetune")),
    (("precision", "workers"), "algorithm", _META_LEARNING),
    (("proximal", "cg_steps"), "algorithm", ("imaml",)),
    (("new_head",), "algorithm", ("finetune",)),
    *_by_entry("model", NETWORKS),
    (("norm",), "model_norm", ("batch",)),
    *_by_entry("data", DATA_SETS),
)
"""Settings, another setting, and its values beside which they have an effect; the first value is
the one that is proposed."""
