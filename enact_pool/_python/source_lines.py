"""Source lines that tracebacks of workers lack, and that only the parent knows.

A worker finds the lines of functions that are defined in files. Only the process that
compiled a notebook cell, or a typed-in function, knows its lines; and the stack of a
crash has no lines.
"""

from __future__ import annotations

import os
import re
import stat

__all__ = ["add_source_lines"]

# A line of a traceback, or of what faulthandler writes.
_FRAME = re.compile(r'^( *)(?:[+|] *)*File "(.+)", line (\d+)(?:, in | in )')
# A larger file is not source code.
_MOST_BYTES = 1 << 24


def add_source_lines(traceback: str, *, of_files: bool = False) -> str:
    """Return the traceback with the source lines that it lacks and that this process knows.

    Lines of files are added only with `of_files`.
    """
    # The folder of notebook cells, and code that is not in a file.
    if not (of_files or "ipykernel_" in traceback or '"<' in traceback):
        return traceback
    import linecache  # rarely needed

    lines = traceback.split("\n")
    completed = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        completed.append(line)
        frame = _FRAME.match(line)
        if frame is None or following.startswith(line[: frame.start(2) - 6] + "  "):
            continue
        path, number = frame[2], int(frame[3])
        if path in linecache.cache or (of_files and _is_readable(path)):
            source = linecache.getline(path, number).strip()
            if source:
                completed.append(f"{line[: frame.start(2) - 6]}  {source}")
    return "\n".join(completed)


def _is_readable(path: str) -> bool:
    # A worker that has overwritten its memory may name a pipe, or an endless device.
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES
