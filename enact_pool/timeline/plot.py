"""The plots of the page, as plotly's figures: callables, and below them waiting ones and memory.

All three plots share the time axis, and so are zoomed together. page.js adds the callables, and the
exits and starts of workers: only those that are visible.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from enact_pool.timeline.history import ENDINGS, Ending, History
from enact_pool.timeline.rows import Row

__all__ = ["ENDING_COLOURS", "ENDING_TITLES", "endings_in", "figure_of"]

ENDING_TITLES: dict[Ending, str] = {
    "ok": "Ok",
    "failed": "Error",
    "crashed": "Crashed",
    "cancelled": "Cancelled",
    "unfinished": "Unfinished",
}
# Distinguishable by hue for colour-blind readers, and by lightness without colours.
ENDING_COLOURS: dict[Ending, str] = {
    "ok": "#56a8dc",
    "failed": "#e69f00",
    "crashed": "#8c1a2b",
    "cancelled": "#9a9a9a",
    "unfinished": "#cfe3f2",
}
_INK, _FAINT_INK, _LINE = "#24292f", "#6e7781", "#e6e8eb"
_QUEUE_COLOUR, _MEMORY_COLOUR, _LARGEST_COLOUR = "#5b6b7b", "#00735c", "#4fae93"

# Pixels.
_ROW, _FEWEST_ROWS, _MOST_ROWS = 34, 110, 620
_SMALL, _GAP, _ABOVE, _BELOW = 96, 26, 46, 52
# More labels would overlap.
_LABELS = 40
# A small plot has too few pixels for more points.
_POINTS = 4000


def endings_in(history: History) -> list[Ending]:
    """Return the endings that occur in a history."""
    return [ending for ending in ENDINGS if history.endings[ending]]


def figure_of(history: History) -> dict[str, Any]:
    """Return the figure: a trace for each ending, then deaths, respawns, and the small plots."""
    rows = len(history.rows)
    main = min(max(rows * _ROW, _FEWEST_ROWS), _MOST_ROWS)
    inner = main + 2 * (_SMALL + _GAP)
    queue_top = (_SMALL * 2 + _GAP) / inner
    began = datetime.fromtimestamp(history.began_ms / 1000, timezone.utc)
    end = history.end or 1.0
    step = -(-rows // _LABELS) or 1
    ticks = range(0, rows, step)
    axis = {"fixedrange": True, "gridcolor": _LINE, "zeroline": False, "automargin": False}
    small = {**axis, "rangemode": "tozero", "nticks": 4, "tickfont": {"size": 11}}
    return {
        "data": [
            *(_callables(ending, history.endings[ending]) for ending in endings_in(history)),
            _marks("Worker ended", "x-thin", _INK),
            _marks("New worker", "triangle-right-open", _INK),
            *_queue(history),
            *_memory(history),
        ],
        "layout": {
            "height": inner + _ABOVE + _BELOW,
            "margin": {"l": 110, "r": 16, "t": _ABOVE, "b": _BELOW},
            "barmode": "overlay",
            "bargap": 0,
            "dragmode": "zoom",
            "hovermode": "closest",
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": _INK},
            "hoverlabel": {
                "align": "left",
                "bgcolor": "white",
                "bordercolor": _FAINT_INK,
                "font": {
                    "family": "ui-monospace, Menlo, Consolas, monospace",
                    "size": 12,
                    "color": _INK,
                },
            },
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1 + 8 / inner,
                "yanchor": "bottom",
                "itemsizing": "constant",
            },
            "xaxis": {
                "title": {
                    "text": f"seconds since the start ({began:%Y-%m-%d %H:%M:%S} UTC)",
                    "standoff": 8,
                    "font": {"size": 13},
                },
                "range": [-0.005 * end, 1.005 * end],
                "anchor": "y3",
                "gridcolor": _LINE,
                "zeroline": False,
                "showspikes": True,
                "spikemode": "across",
                "spikesnap": "cursor",
                "spikethickness": 1,
                "spikedash": "solid",
                "spikecolor": "#b6bcc3",
            },
            "yaxis": {
                **axis,
                "domain": [queue_top + _GAP / inner, 1],
                "range": [max(rows, 1) - 0.5, -0.5],
                "showgrid": False,
                "ticks": "outside",
                "ticklen": 6,
                "tickcolor": "white",
                "tickvals": list(ticks),
                "ticktext": [history.rows[number].label for number in ticks],
            },
            "yaxis2": {
                **small,
                "domain": [(_SMALL + _GAP) / inner, queue_top],
                "title": {"text": "waiting<br>callables", "font": {"size": 12}},
            },
            "yaxis3": {
                **small,
                "domain": [0, _SMALL / inner],
                "title": {"text": "memory<br>MB", "font": {"size": 12}},
            },
            "annotations": [_memory_key((_SMALL + 2) / inner)],
        },
    }


def _callables(ending: Ending, count: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": f"{ENDING_TITLES[ending]} ({count:,})",
        "x": [],
        "y": [],
        "base": [],
        "width": 0.76,
        "hoverinfo": "text",
        "marker": {
            "color": ENDING_COLOURS[ending],
            "line": {"color": "white", "width": 0},
            "pattern": {"shape": "/" if ending == "unfinished" else "", "fgcolor": "#4a7ea6"},
        },
    }


def _marks(name: str, symbol: str, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [],
        "y": [],
        "hoverinfo": "text",
        "marker": {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2}},
    }


def _queue(history: History) -> list[dict[str, Any]]:
    changes = [(time, pool, length) for pool, time, length in history.queue]
    times, lengths = _summed(changes, sum, history.end)
    label = "%{y:,} waiting<br>at %{x:.3f} s"
    return [_steps(times, lengths, "y2", label, _QUEUE_COLOUR, "waiting")]


def _memory(history: History) -> list[dict[str, Any]]:
    changes = [(each.time, each.row, each.resident_bytes) for each in history.memory]
    traces = []
    lines: list[tuple[Callable[[Sequence[int]], int], str, str]] = [
        (sum, _MEMORY_COLOUR, "all workers"),
        (max, _LARGEST_COLOUR, "the largest worker"),
    ]
    for combine, colour, name in lines:
        times, sizes = _summed(changes, combine, history.end)
        label = f"{name}: %{{y:,.1f}} MB<br>at %{{x:.3f}} s"
        traces.append(_steps(times, [size / 1e6 for size in sizes], "y3", label, colour, name))
    return traces


def _memory_key(height: float) -> dict[str, Any]:
    return {
        "text": f'<span style="color:{_MEMORY_COLOUR}">\u2014 all workers</span>   '
        f'<span style="color:{_LARGEST_COLOUR}">\u2014 the largest</span>',
        "font": {"size": 11},
        "showarrow": False,
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "yref": "paper",
        "y": height,
        "yanchor": "bottom",
    }


def _steps(
    times: Sequence[float],
    values: Sequence[float],
    axis: str,
    label: str,
    colour: str,
    name: str,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": values,
        "yaxis": axis,
        "showlegend": False,
        "hovertemplate": f"{label}<extra></extra>",
        "line": {"shape": "hv", "width": 1.5, "color": colour},
        "fill": "tozeroy",
        "fillcolor": f"{colour}22",
    }


def _summed(
    changes: Sequence[tuple[float, Row | int, int]],
    combine: Callable[[Sequence[int]], int],
    end: float,
) -> tuple[list[float], list[int]]:
    """Return the combined latest values of all keys, at each change and at the end."""
    latest: dict[Row | int, int] = {}
    times: list[float] = []
    values: list[int] = []
    for time, key, value in changes:
        latest[key] = value
        combined = combine(list(latest.values()))
        if times and times[-1] == time:
            values[-1] = combined
        else:
            times.append(time)
            values.append(combined)
    if times:
        times.append(end)
        values.append(values[-1])
    return _thinned(times, values)


def _thinned(times: list[float], values: list[int]) -> tuple[list[float], list[int]]:
    """Keep the least, the greatest and the last value of each of many equal parts of the time."""
    if len(times) <= _POINTS:
        return times, values
    parts = _POINTS // 3
    width = (times[-1] - times[0]) / parts
    kept = set()
    start = 0
    for part in range(1, parts + 1):
        stop = len(times) if part == parts else bisect_left(times, times[0] + part * width)
        inside = range(start, stop)
        if inside:
            kept |= {min(inside, key=values.__getitem__), max(inside, key=values.__getitem__)}
            kept.add(stop - 1)
        start = stop
    return [times[at] for at in sorted(kept)], [values[at] for at in sorted(kept)]
