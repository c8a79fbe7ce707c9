"""Source lines in the tracebacks of workers, as far as only their parent has them.

A worker finds the lines of functions that are defined in files. Those of a notebook
cell, or of what was typed in, are known to the process that compiled them; and the
stack of a crash comes without any.
"""

from __future__ import annotations

import os
import re
import stat

__all__ = ["with_sources"]

# In a traceback, or in what faulthandler writes.
_FRAME = re.compile(r'^( *)(?:[+|] *)*File "(.+)", line (\d+)(?:, in | in )')
# A file that is larger has not been written by anybody.
_MOST_BYTES = 1 << 24


def with_sources(traceback: str, *, of_files: bool = False) -> str:
    """The traceback with the lines that it lacks, where this process knows them.

    Lines of files are looked for only if that is asked for.
    """
    # The folder of notebook cells, and what is in no file.
    if not (of_files or "ipykernel_" in traceback or '"<' in traceback):
        return traceback
    import linecache  # rarely needed

    lines = traceback.split("\n")
    told = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        told.append(line)
        frame = _FRAME.match(line)
        if frame is None or following.startswith(line[: frame.start(2) - 6] + "  "):
            continue
        path, number = frame[2], int(frame[3])
        if path in linecache.cache or (of_files and _is_readable(path)):
            source = linecache.getline(path, number).strip()
            if source:
                told.append(f"{line[: frame.start(2) - 6]}  {source}")
    return "\n".join(told)


def _is_readable(path: str) -> bool:
    # A worker that writes all over its memory may name a pipe, or a device without an end.
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES
