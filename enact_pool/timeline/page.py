"""The timeline as a page for any browser: one file, which needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from enact_pool._events.emitter import EventEmitter
from enact_pool._events.events import StreamEvent
from enact_pool._python.public_names import public
from enact_pool.timeline.columns import columns_of
from enact_pool.timeline.evidence import history_of
from enact_pool.timeline.figures import TimelineFigures, figures_of
from enact_pool.timeline.history import bounded
from enact_pool.timeline.plot import ENDING_COLOURS, ENDING_TITLES, endings_in, figure_of

__all__ = ["timeline_html"]

# A name or an error cannot make the page load or send anything.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
_BUTTONS = ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]
_CONFIG = {"displaylogo": False, "modeBarButtons": [_BUTTONS]}
_NAME_LIMIT = 120


@public
def timeline_html(events: Iterable[StreamEvent] | EventEmitter) -> str:
    """Return a page that shows the timeline of live events.

    The page shows lanes over time, with a name, an outcome, a duration and a traceback for each
    callable, the number of waiting callables, memory, and figures. It works offline. Its size is
    5 MB, and about 60 bytes for each callable.

    Args:
        events: Events of a live emitter, in any order; an `EventEmitter` is drained.

    Raises:
        ImportError: plotly is not installed.
        ValueError: The events are not those of a live emitter.
        TypeError: Something in `events` is no event.
    """
    try:
        from plotly.io import to_html
    except ImportError as error:
        raise ImportError(
            "a timeline page needs plotly: pip install 'enact_pool[timeline]'"
        ) from error

    history = history_of(events)
    figures = figures_of(history)
    endings = endings_in(history)
    plots = to_html(
        figure_of(history),
        config=_CONFIG,
        include_plotlyjs=True,
        include_mathjax=False,
        full_html=False,
        div_id="timeline",
        post_script=_resource("page.js"),
    )
    columns = {
        **columns_of(history, endings),
        "titles": [ENDING_TITLES[ending] for ending in endings],
    }
    # A text must not end the script element that contains it.
    columns_json = json.dumps(columns, separators=(",", ":")).replace("<", "\\u003c")
    lanes = len(history.rows)
    subtitle = f"{_count(sum(history.endings.values()), 'callable')} on {_count(lanes, 'lane')}"
    if len(history.runs) > 1:
        subtitle += f", in {len(history.runs):,} runs"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>enact_pool timeline: {subtitle}</title>
<style>
{_resource("page.css")}</style>
</head>
<body>
<header>
<h1>enact_pool timeline</h1>
<p>{subtitle}. Drag to zoom in, double-click to zoom out, click on a callable to keep its text.</p>
</header>
<script type="application/json" id="columns">{columns_json}</script>
<main>
<section id="plots">
{plots}
<pre id="kept" hidden></pre>
</section>
<aside>
{"".join(_panel(figures))}</aside>
</main>
</body>
</html>
"""


def _resource(name: str) -> str:
    return files("enact_pool.timeline").joinpath(name).read_text(encoding="utf-8")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _panel(figures: TimelineFigures) -> Iterator[str]:
    yield '<dl class="figures">\n'
    yield _figure("wall time", _seconds(figures.wall_seconds))
    speedup = f"{figures.speedup:.2f}&times;"
    yield _figure("speed-up over serial", speedup, f"{_seconds(figures.work_seconds)} of work")
    if figures.longest is not None:
        name = bounded(figures.longest.name, _NAME_LIMIT)
        yield _figure(
            "longest callable",
            _seconds(figures.longest_seconds),
            f"{name} (index {figures.longest.index})",
        )
    yield _figure("idle tail", _seconds(figures.idle_tail_seconds), "some lanes had nothing to do")
    yield _figure("crashes", f"{figures.crashes:,}", _count(figures.respawns, "new worker"))
    yield "</dl>\n<h2>Outcomes</h2>\n<table>\n"
    total = sum(figures.outcomes.values()) or 1
    for ending, count in figures.outcomes.items():
        if count:
            yield _bar(ENDING_TITLES[ending], f"{count:,}", count / total, ENDING_COLOURS[ending])
    yield '</table>\n<h2>Busy share of each lane</h2>\n<div class="lanes"><table>\n'
    for label, share in figures.busy_shares.items():
        yield _bar(label, f"{share:.0%}", share, "#5b6b7b")
    yield "</table></div>\n"


def _figure(title: str, value: str, note: str = "") -> str:
    return f"<div><dt>{title}</dt><dd>{value}<small>{escape(note)}</small></dd></div>\n"


def _bar(label: str, value: str, share: float, colour: str) -> str:
    return (
        f"<tr><th>{escape(label)}</th>"
        f'<td><i style="width:{100 * share:.1f}%;background:{colour}"></i></td>'
        f"<td>{value}</td></tr>\n"
    )


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    if minutes >= 2:
        return f"{minutes} min {rest} s"
    if seconds >= 0.9995:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.3g} ms"
