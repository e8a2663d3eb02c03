"""HTML as text that is escaped unless it was made here."""

import html
import unicodedata
from collections.abc import Sequence
from typing import TypeGuard

Attribute = str | int | float | bool | None

_VOID = {"br", "circle", "img", "line", "link", "meta", "path", "rect", "use"}
"""Elements that hold nothing; those of SVG are closed by a slash."""
_ALLOWED = "\n\t"
# They turn the direction of all text behind them, as a file's name might.
_BIDI = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class Html(str):
    """Markup. Any other text is escaped where it comes into some."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """The text as it may stand between elements and in attributes of a UTF-8 file.

    >>> escaped('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return text if isinstance(text, Html) else Html(html.escape("".join(map(_printable, text))))


def _printable(character: str) -> str:
    # Halves of a surrogate pair come from file names that are no UTF-8.
    odd = unicodedata.category(character) in ("Cc", "Cs") or character in _BIDI
    return "\N{REPLACEMENT CHARACTER}" if odd and character not in _ALLOWED else character


def element(name: str, /, *content: str | None, **attributes: Attribute) -> Html:
    """An element of this name.

    Args:
        name: As ``"p"``.
        content: Text, which is escaped, or markup; None is left out.
        attributes: One that ends in ``_`` goes without it, other underscores become hyphens. None
            and False are left out, True stands alone.

    >>> element("a", "R&D", href="#b", aria_label="x", class_=None)
    '<a href="#b" aria-label="x">R&amp;D</a>'
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(
            f"<{name}{told}>" if name in ("br", "img", "link", "meta") else f"<{name}{told}/>"
        )
    return Html(f"<{name}{told}>{joined(*content)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'


def joined(*parts: str | None) -> Html:
    """The parts one after another, escaped where they are no markup."""
    return Html("".join(escaped(part) for part in parts if part is not None))


def table(
    caption: str,
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    label: str | None = None,
    class_: str | None = None,
) -> Html:
    """A table whose rows begin with their name, in a part that scrolls by itself where it is wide.

    Args:
        caption: What it shows.
        heading: One a column.
        rows: Cells of text or markup. Those that are an element ``td`` or ``th`` stay as they are,
            in the heading as well.
        label: A name for readers, where the caption is not one of its own on the page.
        class_: Of the table.
    """
    top = element("tr", *[_heading(cell) for cell in heading])
    body = [
        element("tr", *[_cell(cell, first=not number) for number, cell in enumerate(row)])
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", top),
        element("tbody", *body),
        class_=class_,
    )
    # With the keyboard, what scrolls is reached by the tabulator.
    return element(
        "div", whole, class_="scroll", tabindex=0, role="region", aria_label=label or caption
    )


def _heading(cell: str) -> Html:
    return cell if _is_cell(cell) else element("th", cell, scope="col")


def _is_cell(cell: str) -> TypeGuard[Html]:
    return isinstance(cell, Html) and cell.startswith(("<td", "<th"))


def _cell(cell: str, first: bool) -> Html:
    if _is_cell(cell):
        return cell
    return element("th", cell, scope="row") if first else element("td", cell)
