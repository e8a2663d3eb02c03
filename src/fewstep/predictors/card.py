"""The model card of an adapted model: what it is, how to load it, its limits."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from torch import nn

from fewstep.config.algorithms import steps_in_words
from fewstep.data.any_preparation import is_of_table
from fewstep.predictors import table_card

MOST_LINES = 60
"""Lines of a network that are shown: conv4 has 27; a backbone has hundreds and a name instead."""


def card(told: Mapping[str, Any], module: nn.Module) -> str:
    """The card as Markdown."""
    parts = [
        *_what(told, module),
        *(table_card.columns_told(told) if is_of_table(told["preparation"]) else []),
        *_with_fewstep(told),
        *_without_fewstep(told, module),
        *_limits(told),
    ]
    return "\n".join(parts)


def _what(told: Mapping[str, Any], module: nn.Module) -> list[str]:
    protocol = told["protocol"]
    numbers = sum(p.numel() for p in module.parameters())
    algorithm = protocol["algorithm"] or protocol["learner"]
    steps = steps_in_words(algorithm.lower(), protocol["inner_steps"])
    lines = [
        "# An adapted model",
        "",
        f"A {type(module).__name__} of {numbers:,} parameters, meta-learned by "
        f"{algorithm} and adapted by fewstep "
        f"{told['versions']['fewstep']} ({steps}, {protocol['norm']}) "
        f"on {sum(protocol['shots'])} examples.",
        "",
    ]
    if protocol["note"]:
        lines += [protocol["note"], ""]
    if told["kind"] == "classification":
        lines += ["| output | class | examples |", "|---|---|---|"]
        rows = zip_longest(told["classes"], protocol["shots"], fillvalue="")
        lines += [f"| {i} | {_cell(name)} | {shots} |" for i, (name, shots) in enumerate(rows)]
    elif is_of_table(told["preparation"]):
        return lines
    else:
        lines += [f"It predicts {told['outputs']} number(s) in the unit of its targets."]
    return [*lines, ""]


def _with_fewstep(told: Mapping[str, Any]) -> list[str]:
    needs_model = told["config"] is None
    how = 'fewstep.load("FOLDER", model)' if needs_model else 'fewstep.load("FOLDER")'
    own = (
        ["model = ...  # the network that it was made of, with any weights"] if needs_model else []
    )
    if is_of_table(told["preparation"]):
        shown = table_card.called(told)
    else:
        what = '["new.jpg"]' if told["preparation"] else "x"
        shown = [f"adapted.predict({what})"]
        if told["kind"] == "classification":
            shown += [f"adapted.predict_proba({what})  # [examples, classes]"]
    code = ["import fewstep", *own, f"adapted = {how}", *shown]
    return ["## With fewstep", "", "```python", *code, "```", ""]


def _without_fewstep(told: Mapping[str, Any], module: nn.Module) -> list[str]:
    head, network = f"{told['outputs']} outputs", str(module)
    fits = network.count("\n") < MOST_LINES
    shown = ", as PyTorch prints it here" if fits else ""
    layout = ["```", network, "```", ""] if fits else []
    lines = [
        "## Without fewstep",
        "",
        f"`model.safetensors` is a plain state dict with the names of the network's own modules. "
        f"Build the network ({type(module).__name__}) with {head}{shown}, then:",
        "",
        *layout,
        "```python",
        "from safetensors.torch import load_file",
        "",
        'model.load_state_dict(load_file("FOLDER/model.safetensors"))',
        "model.eval()",
    ]
    if told["kind"] == "classification":
        lines += [
            f"probabilities = (model(x) / {told['temperature']:.6g}).softmax(1)"
            "  # the temperature first"
        ]
    else:
        lines += ["prediction = model(x)"]
    lines += ["```", "", _scaling(told), ""]
    if told["batch_statistics"]:
        lines += [
            "It is transductive: these norms use the statistics of each batch, so call "
            "`.train()` on them after `model.eval()` and set their `track_running_stats = False`: "
            + ", ".join(f"`{name}`" for name in told["batch_statistics"])
            + ".",
            "",
        ]
    if "statistics.safetensors" in told["sha256"]:
        lines += [
            "`statistics.safetensors` holds the support set's statistics of norms that keep no "
            "running ones; fewstep puts them in place, a plain state dict has no room for them.",
            "",
        ]
    return lines


def _scaling(told: Mapping[str, Any]) -> str:
    how, shape = told["preparation"], told["example_shape"]
    if is_of_table(how):
        return table_card.scaling(told)
    if how is None:
        form = ", ".join(map(str, ["examples", *(shape or ["..."])]))
        return f"`x` is [{form}], scaled as the examples were that it was adapted on."
    fit = "its middle square" if how["fit"] == "crop" else "the whole picture"
    ink = ", inverted where it is dark on light (ink is 255)" if how["ink"] else ""
    kind = "grey" if how["channels"] == 1 else "red, green, blue"
    return (
        f"`x` is float32 [examples, {how['channels']}, {how['size']}, {how['size']}], {kind}: "
        f"{fit}, turned as EXIF says, on white where it is transparent, resized by Lanczos{ink}, "
        "divided by 255."
    )


def _limits(told: Mapping[str, Any]) -> list[str]:
    lines = ["## Limits", ""]
    if told["kind"] == "classification":
        lines += ["- It knows these classes alone, and gives one of them to any example."]
        if told["threshold"] is not None:
            lines[-1] = (
                "- It knows these classes alone. For an answer of none of these, its run chose the "
                f"least probability {told['threshold']:.3g}, which is used where it is asked for."
            )
    lines += [
        "- It was adapted on few examples: measure it on examples of your own before you rely on "
        "it.",
        "- `start.safetensors` and `support.safetensors` hold the initialisation and the examples "
        "that it was adapted on, for `fewstep adapt --add`; leave them out where the examples are "
        "private.",
        "",
    ]
    return lines


def _cell(name: object) -> str:
    return str(name).replace("|", "\\|").replace("\n", " ")
