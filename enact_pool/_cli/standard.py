"""Standard input and output, separated from those of workers and imported modules.

A callable that prints must not print between the results, and a program that a callable starts must
not read the inputs of other callables.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, TextIO

__all__ = ["stdin_apart", "stdout_apart"]


def stdin_apart() -> BinaryIO:
    """Return the standard input of this process, without a buffer; replace it by an empty one.

    Raises `OSError` if the process has no standard input.
    """
    if sys.stdin is not None and not _is_at(sys.stdin, 0):
        return sys.stdin.buffer
    original = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return open(original, "rb", buffering=0)


@contextmanager
def stdout_apart() -> Iterator[TextIO]:
    """Return the standard output of this process; within the block, standard error replaces it.

    Characters that cannot be encoded are written as backslash escapes. If the pipe is closed or the
    disk is full, flushing the stream raises, but leaving the block does not raise again.
    """
    if not (_is_at(sys.stdout, 1) and _is_at(sys.stderr, 2)):
        yield sys.stdout
        return
    sys.stdout.flush()
    encoding = sys.stdout.encoding
    original = os.dup(1)
    os.dup2(2, 1)
    stream = open(  # noqa: SIM115
        original, "w", encoding=encoding, errors="backslashreplace"
    )
    try:
        yield stream
    finally:
        sys.stdout.flush()
        os.dup2(original, 1)
        try:
            stream.close()
        except OSError:
            pass  # an earlier flush of the same buffer has raised already


def _is_at(stream: IO[Any] | None, descriptor: int) -> bool:
    """Return whether a stream uses this descriptor, rather than being a replacement."""
    try:
        return stream is not None and stream.fileno() == descriptor
    except OSError:
        return False  # the stream has no descriptor
