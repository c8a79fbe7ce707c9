"""Values of command-line parameters: sizes, times, files and inputs.

A wrong parameter raises `click.BadParameter`, which ends the command with status 2.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import select
from typing import BinaryIO

import click

from enact_pool._cli.standard import stdin_apart
from enact_pool._engine.task_source import PENDING, Pending

__all__ = ["lines_of", "opened", "output_file", "seconds", "size", "text_of"]

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}


_MOST_BYTES = 1 << 63

_READ_BYTES = 1 << 16

# How long to wait for input before results that arrived meanwhile are printed.
_INPUT_WAIT_SECONDS = 0.02


def size(text: str) -> int:
    """Return a number of bytes: `500MB`, `2GiB`, or without a unit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-z]*)", text.strip().lower(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(
            f"{text!r} is not a size: expected bytes, or a unit as in 500MB or 2GiB"
        )
    number = float(found[1]) * _UNITS[found[2]]
    if number > _MOST_BYTES:
        raise click.BadParameter(f"{text!r} is more memory than any machine has")
    count = int(number)
    if count < 1:
        raise click.BadParameter(f"{text!r} is less than a byte")
    return count


def seconds(text: str) -> float:
    """Return a time in seconds, above 0."""
    try:
        time = float(text)
    except ValueError:
        time = math.nan
    if not (math.isfinite(time) and time > 0):
        raise click.BadParameter(f"{text!r} is not a number of seconds above 0")
    return time


def output_file(*endings: str) -> Callable[[str], str]:
    """Return a type of parameter: the path of a file that seems to be writable.

    Args:
        *endings: The path must have one of these endings; default: any ending.
    """

    def file(path: str) -> str:
        folder = os.path.dirname(path) or "."
        if endings and not path.endswith(endings):
            raise click.BadParameter(f"{path!r} must end in {' or '.join(endings)}")
        if os.path.isdir(path):
            raise click.BadParameter(f"{path!r} is a folder")
        if not os.path.isdir(folder):
            raise click.BadParameter(f"the folder {folder!r} does not exist")
        if not os.access(path if os.path.exists(path) else folder, os.W_OK):
            raise click.BadParameter(f"{path!r} cannot be written")
        return path

    return file


@contextmanager
def opened(parameter: str) -> Iterator[BinaryIO]:
    """Open the input: a text, the file of `@FILE`, or stdin for `-`.

    One read returns the bytes that are available.
    """
    with _read_errors():
        if parameter == "-":
            file: BinaryIO = stdin_apart()
        elif parameter.startswith("@"):
            file = open(parameter[1:], "rb", buffering=0)  # noqa: SIM115
        else:
            # Bytes that are not UTF-8 stay as they were on the command line.
            file = io.BytesIO(parameter.encode("utf-8", "surrogateescape"))
    with file:
        yield file


def text_of(file: BinaryIO) -> str:
    """Read the whole file."""
    with _read_errors():
        return _text(file.read())


def lines_of(file: BinaryIO) -> Iterator[str | Pending]:
    """Yield the lines of a file, without their ends, and `PENDING` while none arrives."""
    parts = [b""]
    while True:
        with _read_errors():
            block = file.read(_READ_BYTES) if _is_ready(file) else None
        if block is None:
            yield PENDING
            continue
        end, *starts = block.split(b"\n")
        parts.append(end)
        for start in starts:
            yield _text(b"".join(parts).removesuffix(b"\r"))
            parts = [start]
        if not block:
            break
    if last := b"".join(parts):
        yield _text(last.removesuffix(b"\r"))


def _text(read: bytes) -> str:
    """Decode what was read. Names of files may have any bytes: Python has these as surrogates."""
    return read.decode("utf-8", "surrogateescape")


def _is_ready(file: BinaryIO) -> bool:
    try:
        return bool(select([file], [], [], _INPUT_WAIT_SECONDS)[0])
    except io.UnsupportedOperation:
        return True  # the file is in memory


@contextmanager
def _read_errors() -> Iterator[None]:
    """Turn the errors of reading the input into `click.BadParameter`."""
    try:
        yield
    except OSError as error:
        prefix = f"cannot read {error.filename!r}: " if error.filename else ""
        raise click.BadParameter(f"{prefix}{error.strerror}", param_hint="--input") from error
