"""The figures of the page: a Flow as SVG, by Vega-Lite. They contain numbers, times and names of hosts, and never text of
a job.

Colours are CSS variables of the page, so dark mode and paper need no second drawing.
"""

import json
import re
from collections.abc import Sequence

from batchq.report.flow import Bar, Flow
from batchq.report.widths import width as width_of
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = {"ok": "var(--ok)", "bad": "var(--bad)", "off": "var(--off)"}
_VERSION = "5.20"  #: of Vega-Lite; each vl-convert contains several
_WIDE, _HALF = 960, 520  #: pixels, which the page scales to its width
_LANE, _HEIGHT = 18, 190
_EVERY_LANE = 16  #: with more lanes than that, only every fourth gets its number
_NAME = 28  #: characters of the name of a host
_LETTER = 7.5  #: pixels of a character; browsers have wider letters than those by which Vega leaves room
_APART = 16  #: pixels between labels of times, at least; for the same reason
_TAG = re.compile(r"<[^>]*>")
_LONG_DECIMALS = re.compile(r"(\.\d)\d+")
_CONFIG = {
    "aria": False,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--ink2)", "titleColor": "var(--ink2)", "titleFontWeight": "normal",
        "gridColor": "var(--line)", "domainColor": "var(--line)", "tickColor": "var(--line)",
        "labelFontSize": 12, "titleFontSize": 12,
    },
}  # fmt: skip
_CLOCK = {
    "milliseconds": "%M:%S.%L",
    "seconds": "%H:%M:%S",
    "minutes": "%H:%M",
    "hours": "%H:%M",
    "year": "%Y",
} | dict.fromkeys(("day", "week", "date", "month"), "%b %d")
_DURATION = (
    "datum.value < 1 ? format(datum.value * 1000, '~g') + ' ms' : datum.value < 60 ? format(datum.value, '~g') + ' s'"
    " : datum.value < 3600 ? format(datum.value / 60, '.2~f') + ' min' : format(datum.value / 3600, '.2~f') + ' h'"
)
_TICKS = (1e-3, 1e-2, 0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)  #: seconds, for durations


def figures(flow: Flow, offset: int) -> dict[str, str]:
    """Draw the three figures; ``offset`` is how many seconds local time is ahead of UTC. Raises ImportError."""
    clock = _Clock(flow, offset)
    return {
        "slots": _lanes(flow, clock) if flow.lanes else _stacked(flow.busy, clock.x(), _WIDE),
        "durations": _stacked(flow.durations, _durations(flow), _HALF, least=1),
        "ended": _stacked(flow.ended, clock.x(), _HALF),
    }


class _Clock:
    """Local time across a figure. Vega has no time zones, so local time is drawn as if it were UTC."""

    def __init__(self, flow: Flow, offset: int) -> None:
        self._zero = flow.start + offset * 1000
        self._end = self.at(flow.span)

    def at(self, seconds: float) -> int:
        return self._zero + round(seconds * 1000)

    def x(self) -> "dict[str, Any]":
        scale = {"type": "utc", "domain": [self._zero, self._end], "nice": False}
        axis = {
            "format": _CLOCK,
            "grid": False,
            "title": None,
            "labelOverlap": True,
            "labelSeparation": _APART,
            "tickCount": 8,
        }
        return {"type": "temporal", "scale": scale, "axis": axis, "at": self.at}


def _durations(flow: Flow) -> "dict[str, Any]":
    low, high = flow.durations[0].start, flow.durations[-1].end
    axis = {"values": [n for n in _TICKS if low <= n <= high], "labelExpr": _DURATION, "grid": False, "title": None}
    return {"type": "quantitative", "scale": {"type": "log", "domain": [low, high], "nice": False}, "axis": axis}


def _lanes(flow: Flow, clock: _Clock) -> str:
    values = []
    for n, lane in enumerate(flow.lanes):
        for piece in lane:
            start, end = clock.at(piece.start), clock.at(piece.end)
            for kind, share in (("off", piece.off), ("ok", piece.ok)):
                if share:
                    shade = round(0.2 + 0.8 * share, 1)
                    values.append({"a": start, "b": end, "y": n + 0.08, "z": n + 0.92, "o": shade, "kind": kind})
            if piece.bad:
                top = n + 0.92 - 0.84 * piece.bad
                values.append({"a": start, "b": end, "y": top, "z": n + 0.92, "o": 1, "kind": "bad"})
    values.sort(key=lambda value: value["kind"] == "bad")  # failures are drawn last, on top of the rest
    labels = _labels(flow)
    axis = {
        "values": [n + 0.5 for n, label in enumerate(labels) if label],
        "labelExpr": f"{json.dumps(labels)}[datum.value - .5]", "grid": False, "ticks": False, "domain": False,
        "labelLimit": 400, "minExtent": _LETTER * max(map(width_of, labels)) if flow.hosts else 0,
    }  # fmt: skip
    y = {"title": None, "scale": {"domain": [len(flow.lanes), 0], "nice": False}, "axis": axis}
    opacity = {"field": "o", "type": "quantitative", "scale": None, "legend": None}
    return _svg(values, {"type": "rect"}, clock.x(), y, {"opacity": opacity}, _WIDE, _LANE * len(flow.lanes) + 30)


def _labels(flow: Flow) -> list[str]:
    """The label of each lane: the number of its slot, after the name of its host at the first one; empty for no label."""
    few = len(flow.lanes) <= _EVERY_LANE
    if not flow.hosts:
        return [str(n + 1) if few or n % 4 == 0 else "" for n in range(len(flow.lanes))]
    labels = []
    for host, slots in flow.hosts:
        name = visible(host, one_line=True)
        name = name if len(name) <= _NAME else f"{name[:9]}…{name[10 - _NAME :]}"  # workers differ at the end
        labels += [f"{name}  1" if few else name, *(str(n + 1) if few else "" for n in range(1, slots))]
    return labels


def _stacked(bars: Sequence[Bar], x: "dict[str, Any]", width: int, least: float = 0) -> str:
    at = x.get("at", float)
    values = []
    for bar in bars:
        low = 0.0
        for kind, amount in (("bad", bar.bad), ("ok", bar.ok), ("off", bar.off)):  # failures stand on the ground
            if amount:
                values.append({"a": at(bar.start), "b": at(bar.end), "y": low, "z": low + amount, "kind": kind})
                low += amount
    mark = {"type": "rect", "stroke": "var(--page)", "strokeWidth": 0.5 if len(bars) < 100 else 0}
    y = {"title": None, "axis": {"tickCount": 5, "tickMinStep": least, "domain": False, "ticks": False}}
    return _svg(values, mark, x, y, {}, width, _HEIGHT)


def _svg(
    values: "list[dict[str, Any]]", mark: "dict[str, Any]", x: "dict[str, Any]", y: "dict[str, Any]",
    more: "dict[str, Any]", width: int, height: int,
) -> str:  # fmt: skip
    import vl_convert

    spec = {
        "data": {"values": values},
        "mark": mark,
        "width": width,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 2,
        "config": _CONFIG,
        "encoding": {
            "x": {"field": "a", **{name: part for name, part in x.items() if name != "at"}},
            "x2": {"field": "b"},
            "y": {"field": "y", "type": "quantitative", **y},
            "y2": {"field": "z"},
            "color": {
                "field": "kind", "type": "nominal", "legend": None,
                "scale": {"domain": [*_KINDS], "range": [*_KINDS.values()]},
            },
            **more,
        },
    }  # fmt: skip
    svg = vl_convert.vegalite_to_svg(spec, vl_version=_VERSION)
    return _TAG.sub(lambda tag: _LONG_DECIMALS.sub(r"\1", tag[0]), svg)  # coordinates, and not the text of labels
