"""Charts of lines as SVG, whose text is text and whose colours are those of the page.

A chart is drawn for the narrowest screen: it is as wide there as text of its size needs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fewstep.report.page.html import Html, element, joined
from fewstep.report.page.scale import Scale, bounds, number

WIDTH, HEIGHT = 360, 250
RIGHT, TOP, BOTTOM = 20, 26, 42  # around the field; on the left there is room for the ticks
LETTER = 6.6  # width of a digit of 12 pixels, a little more than it is
STYLES = 6  # markers, with dashes each, and colours
FULL = 25  # points of a line each of which has a marker
SPARSE = 8  # markers of a line of more points
FEW = 12  # points whose intervals are bars; those of more are a band

_MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "M-3.6 -3.6H3.6V3.6H-3.6Z",
    "M0 -4.8L4.6 3.4H-4.6Z",
    "M0 -5L4.4 0L0 5L-4.4 0Z",
    "M0 4.8L4.6 -3.4H-4.6Z",
    "M-4.4 -1.5H-1.5V-4.4H1.5V-1.5H4.4V1.5H1.5V4.4H-1.5V1.5H-4.4Z",
)


@dataclass(frozen=True)
class Line:
    """A line of a chart; points that are not finite are left out.

    Attributes:
        name: For people.
        x: Places.
        y: Values.
        half: Half the interval of each value, NaN where there is none.
        style: A number, which tells marker, dashes and colour; lines of a chart have others.
        points: The values are points of their own, with no line through them.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float] = ()
    style: int = 0
    points: bool = False

    @property
    def ends(self) -> list[tuple[float, float]]:
        """The interval of each value; the value alone where there is none."""
        halves = [h if math.isfinite(h) else 0.0 for h in self.half] or [0.0] * len(self.y)
        return [(y - half, y + half) for y, half in zip(self.y, halves, strict=True)]


@dataclass(frozen=True)
class Axes:
    """The two axes of a chart.

    Attributes:
        x: Name of the horizontal one.
        y: Name of the vertical one.
        percent: Values are shares.
        percent_x: Places are shares, from 0 to 1, and not whole numbers.
        zero: Values begin at zero.
        places: The places that have a name, in the place of round numbers.
        reference: A value that has a line of its own, with its name.
        diagonal: The value is drawn where it is the place.
        bars: Shares from the left to the right of the chart, drawn faintly from its bottom.
    """

    x: str
    y: str
    percent: bool = False
    percent_x: bool = False
    zero: bool = True
    places: Sequence[tuple[float, str]] = ()
    reference: tuple[float, str] | None = None
    diagonal: bool = False
    bars: Sequence[float] = field(default=())


def line_chart(lines: Sequence[Line], axes: Axes, label: str) -> Html:
    """The chart; ``label`` tells who cannot see it what it shows."""
    values = [end for line in lines for pair in line.ends for end in pair]
    if axes.reference:
        values.append(axes.reference[0])
    positive = [y for line in lines for y in line.y if y > 0 and math.isfinite(y)]
    # Of a loss that falls by more than two powers of ten nothing could be seen else.
    ratio = max(positive) / min(positive) if positive else 1.0
    wide = not axes.percent and 100 < ratio < 1e6
    logarithmic = wide and all(end > 0 for end in values if math.isfinite(end))
    low, high = bounds(values, zero=axes.zero, most=1.02 if axes.percent else None)
    if logarithmic:
        low, high = min(positive) / 1.1, max(positive) * 1.1
    elif axes.percent_x:
        low, high = 0.0, 1.02
    scale_y = Scale(low, high, HEIGHT - BOTTOM, TOP, logarithmic)
    told = [number(tick, axes.percent) for tick in scale_y.ticks]
    left = 12 + LETTER * max(map(len, told), default=1)
    places = [x for line in lines for x in line.x] or [0.0, 1.0]
    x_low, x_high = (0.0, 1.0) if axes.percent_x else (min(places), max(places))
    if x_high == x_low:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    scale_x = Scale(x_low, x_high, left + 8, WIDTH - RIGHT, whole=not axes.percent_x)
    drawn = [
        *_frame(axes, scale_x, scale_y, told, left),
        *(_bars(axes.bars, scale_x, scale_y) if axes.bars else ()),
        *(_area(line, scale_x, scale_y) for line in lines),
        *(_drawn(line, scale_x, scale_y) for line in lines),
    ]
    return element(
        "svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart"
    )


def swatch(of: Line) -> Html:
    """A short piece of a line, for a legend; the marker alone where there is none."""
    line = None if of.points else element("path", d="M1 7H31", class_=f"line {_style(of.style)}")
    marker = _marker(of.style, 16, 7)
    return element("svg", line, marker, viewBox="0 0 32 14", aria_hidden="true", class_="swatch")


def _frame(axes: Axes, x: Scale, y: Scale, told: list[str], left: float) -> list[Html]:
    """Ticks with their numbers, fine lines across, the names of both axes, what is drawn behind."""
    drawn = [element("text", axes.y, x=2, y=13, class_="axis")]
    for value, text in zip(y.ticks, told, strict=True):
        at = _short(y(value))
        drawn.append(element("path", d=f"M{_short(left)} {at}H{WIDTH - RIGHT + 6}", class_="grid"))
        drawn.append(
            element("text", text, x=_short(left - 5), y=_short(y(value) + 4), text_anchor="end")
        )
    named = axes.places or [(v, number(v, axes.percent_x)) for v in x.ticks]
    for value, text in named:
        if x.low <= value <= x.high:
            place = _short(x(value))
            drawn.append(element("path", d=f"M{place} {HEIGHT - BOTTOM}v4", class_="tick"))
            drawn.append(
                element("text", text, x=place, y=HEIGHT - BOTTOM + 17, text_anchor="middle")
            )
    middle = _short((left + WIDTH - RIGHT) / 2)
    drawn.append(
        element("text", axes.x, x=middle, y=HEIGHT - 6, text_anchor="middle", class_="axis")
    )
    if axes.reference:
        value, name = axes.reference
        height = y(value)
        drawn.append(
            element(
                "path", d=f"M{_short(left)} {_short(height)}H{WIDTH - RIGHT + 6}", class_="dotted"
            )
        )
        drawn.append(
            element("text", name, x=WIDTH - RIGHT + 6, y=_short(height - 4), text_anchor="end")
        )
    if axes.diagonal:
        start, end = (f"{_short(x(v))} {_short(y(v))}" for v in (0.0, 1.0))
        drawn.append(element("path", d=f"M{start}L{end}", class_="dotted"))
    return drawn


def _bars(shares: Sequence[float], x: Scale, y: Scale) -> list[Html]:
    """A rectangle a share, each as wide as all others."""
    width = (x.end - x.start) / len(shares)
    return [
        element(
            "rect",
            x=_short(x.start + place * width),
            y=_short(y(share)),
            width=_short(width - 1),
            height=_short(y(0.0) - y(share)),
            class_="bar",
        )
        for place, share in enumerate(shares)
        if share > 0
    ]


def _area(line: Line, x: Scale, y: Scale) -> Html | None:
    """The interval of a line, as a band; of few points a bar each."""
    style = _style(line.style)
    points = [
        (x(place), y(low), y(high))
        for place, value, (low, high) in zip(line.x, line.y, line.ends, strict=True)
        if math.isfinite(value) and high > low
    ]
    if not points:
        return None
    if len(line.x) > FEW:
        upper = "L".join(f"{_short(at)} {_short(high)}" for at, _, high in points)
        lower = "L".join(f"{_short(at)} {_short(low)}" for at, low, _ in reversed(points))
        return element("path", d=f"M{upper}L{lower}Z", class_=f"band {style}")
    bars = "".join(
        f"M{_short(at)} {_short(low)}V{_short(high)}"
        f"M{_short(at - 3)} {_short(low)}h6"
        f"M{_short(at - 3)} {_short(high)}h6"
        for at, low, high in points
    )
    return element("path", d=bars, class_=f"whisker {style}")


def _drawn(line: Line, x: Scale, y: Scale) -> Html:
    """The line itself and its markers."""
    points = [
        (x(place), y(value))
        for place, value in zip(line.x, line.y, strict=True)
        if math.isfinite(value)
    ]
    path = "L".join(f"{_short(at)} {_short(value)}" for at, value in points)
    through = bool(points) and not line.points
    whole = [element("path", d=f"M{path}", class_=f"line {_style(line.style)}")] if through else []
    every = 1 if len(points) <= FULL or line.points else len(points) // SPARSE
    # Lines have their markers at other places each, where not every point has one.
    first = 0 if every == 1 else (1 + line.style) * every // (STYLES + 1)
    return joined(*whole, *(_marker(line.style, *point) for point in points[first::every]))


def _marker(style: int, x: float, y: float) -> Html:
    place = f"translate({_short(x)} {_short(y)})"
    return element(
        "path", d=_MARKERS[style % STYLES], transform=place, class_=f"marker {_style(style)}"
    )


def _style(number: int) -> str:
    """The classes of dashes and of a colour: the sixth line and its marker come in another one."""
    return f"d{number % STYLES} s{(number + number // STYLES) % STYLES}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
