"""Examples in docstrings, which need no heading in Python, get one for the reference."""

import re

import griffe

EXAMPLES = re.compile(r"^>>> .*?(?=\n\n(?!>>> )|\Z)", re.M | re.S)


class Examples(griffe.Extension):
    """Puts what begins with ``>>>`` into a section of its own."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Changes the docstring of each object as it is read."""
        if obj.docstring:
            obj.docstring.value = EXAMPLES.sub(_as_section, obj.docstring.value)


def _as_section(found: re.Match[str]) -> str:
    return "Examples:\n" + "\n".join(f"    {line}".rstrip() for line in found[0].split("\n"))
