"""Standard input and output, kept apart from what workers and imported modules do with theirs.

A callable that prints must not print between the results, and a program that one
starts must not read the inputs of others away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, TextIO

__all__ = ["stdin_apart", "stdout_apart"]


def stdin_apart() -> BinaryIO:
    """The standard input of this process, in whose place there is nothing from now on.

    It has no buffer. Raises `OSError` if there is none.
    """
    if sys.stdin is not None and not _is_at(sys.stdin, 0):
        return sys.stdin.buffer
    kept = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return open(kept, "rb", buffering=0)


@contextmanager
def stdout_apart() -> Iterator[TextIO]:
    """The standard output of this process, in whose place there is standard error within.

    What cannot be encoded is written with backslashes. That nobody reads any more, or
    a disk is full, is raised when something is flushed, not again when this ends.
    """
    if not (_is_at(sys.stdout, 1) and _is_at(sys.stderr, 2)):
        yield sys.stdout
        return
    sys.stdout.flush()
    encoding = sys.stdout.encoding
    kept = os.dup(1)
    os.dup2(2, 1)
    stream = open(  # noqa: SIM115
        kept, "w", encoding=encoding, errors="backslashreplace"
    )
    try:
        yield stream
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        try:
            stream.close()
        except OSError:
            pass  # what is still in its buffer was refused before


def _is_at(stream: IO[Any] | None, descriptor: int) -> bool:
    """Whether it is a stream of the process's own, rather than what somebody has put there."""
    try:
        return stream is not None and stream.fileno() == descriptor
    except OSError:
        return False  # it has none
