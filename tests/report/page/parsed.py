"""A page as a browser takes it: elements with their attributes and their text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"br", "img", "link", "meta", "path", "rect", "circle"}


@dataclass
class Element:
    name: str
    attributes: dict
    inside: list = field(default_factory=list)  # elements and texts

    def every(self, *names):
        """All elements of these names inside, in the order of the page; all without a name."""
        found = []
        for part in self.inside:
            if isinstance(part, Element):
                found += [part] if not names or part.name in names else []
                found += part.every(*names)
        return found

    @property
    def text(self):
        return "".join(p if isinstance(p, str) else p.text for p in self.inside)


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        one = Element(tag, dict(attrs))
        assert len(one.attributes) == len(attrs), "an attribute stands twice"
        self.open[-1].inside.append(one)
        if tag not in VOID:
            self.open.append(one)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].inside.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop().name == tag

    def handle_data(self, data):
        self.open[-1].inside.append(data)


def parsed(text):
    """The elements of a page, each of which is closed where it was opened."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser.open == [parser.root]
    return parser.root


def check_page(text):
    """See that a page stands alone and can be used by everybody; its elements."""
    root = parsed(text)
    assert len(text.encode()) < 3_000_000
    _check_alone(root, text)
    ids = [e.attributes["id"] for e in root.every() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for link in root.every("a"):
        assert link.attributes["href"].removeprefix("#") in ids
    for one in root.every():
        if "aria-labelledby" in one.attributes:
            assert one.attributes["aria-labelledby"] in ids
    levels = [int(e.name[1]) for e in root.every("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    _check_named(root)
    return root


def _check_alone(root, text):
    """No other file, no network, nothing that runs."""
    names = {e.name for e in root.every()}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form"}
    for one in root.every():
        for key, value in one.attributes.items():
            assert not key.startswith("on")
            if key in ("href", "src", "action", "xlink:href"):
                assert (value or "").startswith(("#", "data:image/")), value
    assert "@import" not in text
    assert "url(" not in text


def _check_named(root):
    """Everything has a name for who does not see it, and numbers their protocol."""
    (html,) = root.every("html")
    assert html.attributes["lang"] == "en"
    for image in root.every("img"):
        assert image.attributes["alt"]
    for chart in root.every("svg"):
        hidden = chart.attributes.get("aria-hidden") == "true"
        assert hidden or (chart.attributes["role"] == "img" and chart.attributes["aria-label"])
    for table in root.every("table"):
        assert table.every("caption")[0].text
        rows = table.every("tr")
        assert len({len(row.every("th", "td")) for row in rows}) == 1
        assert all(cell.attributes["scope"] for cell in table.every("th"))
        assert all(cell.text for cell in table.every("th"))
    regions = [e for e in root.every() if e.attributes.get("role") == "region"]
    labels = [e.attributes["aria-label"] for e in regions]
    assert len(labels) == len(set(labels))
    assert all(e.attributes["tabindex"] == "0" for e in regions)
    for figure in root.every("figure"):
        (protocol,) = [s.text for s in figure.every("figcaption")[0].every("small")]
        assert "seed" in protocol
        assert "tasks" in protocol
        assert "interval" in protocol
        assert figure.every("details")[0].every("td")
