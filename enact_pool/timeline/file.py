"""`write_timeline`: a timeline as a file."""

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
    """Write the timeline of live events to a file.

    Args:
        events: Events of a live emitter, in any order; an `EventEmitter` is drained.
        path: The file. `.html` is a page for any browser (see `timeline_html`), `.json` and
            `.json.gz` are traces for Perfetto and other viewers (see `chrome_trace`).

    Raises:
        ValueError: The path has another ending, or the events are not those of a live emitter.
        ImportError: A page needs plotly, which is not installed.
        OSError: The file cannot be written.
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
        raise ValueError(f"a timeline is a .html, .json or .json.gz file, not {target.name!r}")
