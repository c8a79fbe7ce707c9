"""A timeline as a file."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path

from enact_pool._events.emitter import EventEmitter
from enact_pool._events.events import StreamEvent
from enact_pool._python.public_names import public
from enact_pool.timeline.chrome import chrome_trace
from enact_pool.timeline.page import timeline_html

__all__ = ["write_timeline"]


@public
def write_timeline(
    events: Iterable[StreamEvent] | EventEmitter, path: str | os.PathLike[str]
) -> None:
    """Write the timeline of these events to a file, of the kind that its name ends with.

    `.html` is a page for any browser (see `timeline_html`), `.json` and `.json.gz` a
    trace for Perfetto and others (see `chrome_trace`). Raises `ValueError` for
    another ending, and for events that were not told to a live emitter (one that is
    given is drained), `ImportError` without plotly for a page, and `OSError`.
    """
    target = Path(path)
    name = target.name.lower()
    if name.endswith(".html"):
        target.write_text(timeline_html(events), encoding="utf-8")
    elif name.endswith(".json"):
        target.write_text(json.dumps(chrome_trace(events)), encoding="utf-8")
    elif name.endswith(".json.gz"):
        target.write_bytes(gzip.compress(json.dumps(chrome_trace(events)).encode()))
    else:
        raise ValueError(f"a timeline is a .html, .json or .json.gz file, and not {target.name!r}")
