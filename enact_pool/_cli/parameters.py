"""What is given on the command line, as the values that it stands for.

Whatever is wrong with it is told by `click.BadParameter`, which ends the command
with status 2.
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
from enact_pool._engine.sources import PENDING, Pending

__all__ = ["lines_of", "opened", "output_file", "seconds", "size", "text_of"]

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}


_MOST_BYTES = 1 << 63

_READ_BYTES = 1 << 16

# How long to wait for input before results are told again that have come meanwhile.
_PATIENCE_SECONDS = 0.02


def size(given: str) -> int:
    """A number of bytes: `500MB`, `2GiB`, or without a unit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-z]*)", given.strip().lower(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(
            f"{given!r} is no size: expected bytes, or a unit as in 500MB or 2GiB"
        )
    number = float(found[1]) * _UNITS[found[2]]
    if number > _MOST_BYTES:
        raise click.BadParameter(f"{given!r} is more than any machine has")
    count = int(number)
    if count < 1:
        raise click.BadParameter(f"{given!r} is less than a byte")
    return count


def seconds(given: str) -> float:
    """A time in seconds, above 0."""
    try:
        time = float(given)
    except ValueError:
        time = math.nan
    if not (math.isfinite(time) and time > 0):
        raise click.BadParameter(f"{given!r} is no number of seconds above 0")
    return time


def output_file(*endings: str) -> Callable[[str], str]:
    """The path of a file that can be written, as far as one can tell, and has one of the endings.

    Without endings it may have any.
    """

    def file(path: str) -> str:
        folder = os.path.dirname(path) or "."
        if endings and not path.endswith(endings):
            raise click.BadParameter(f"{path!r} must end in {' or '.join(endings)}")
        if os.path.isdir(path):
            raise click.BadParameter(f"{path!r} is a folder")
        if not os.path.isdir(folder):
            raise click.BadParameter(f"there is no folder {folder!r}")
        if not os.access(path if os.path.exists(path) else folder, os.W_OK):
            raise click.BadParameter(f"{path!r} cannot be written")
        return path

    return file


@contextmanager
def opened(given: str) -> Iterator[BinaryIO]:
    """What `--input` says: a text, the name of a file with one, or that it is in stdin.

    One read gives what is there by then.
    """
    with _told():
        if given == "-":
            file: BinaryIO = stdin_apart()
        elif given.startswith("@"):
            file = open(given[1:], "rb", buffering=0)  # noqa: SIM115
        else:
            # As it was given, if it is no UTF-8.
            file = io.BytesIO(given.encode("utf-8", "surrogateescape"))
    with file:
        yield file


def text_of(file: BinaryIO) -> str:
    """All of it."""
    with _told():
        return file.read().decode("utf-8")


def lines_of(file: BinaryIO) -> Iterator[str | Pending]:
    """Its lines without their ends, as they come, and `PENDING` while none does."""
    number, begun = 1, [b""]
    while True:
        with _told():
            block = file.read(_READ_BYTES) if _is_ready(file) else None
        if block is None:
            yield PENDING
            continue
        more, *begins = block.split(b"\n")
        begun.append(more)
        for begin in begins:
            yield _text(b"".join(begun), number)
            number, begun = number + 1, [begin]
        if not block:
            break
    if last := b"".join(begun):
        yield _text(last, number)


def _text(line: bytes, number: int) -> str:
    with _told(f"line {number}"):
        return line.removesuffix(b"\r").decode("utf-8")


def _is_ready(file: BinaryIO) -> bool:
    try:
        return bool(select([file], [], [], _PATIENCE_SECONDS)[0])
    except io.UnsupportedOperation:
        return True  # it is in memory


@contextmanager
def _told(where: str = "it") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = f"cannot read {error.filename!r}: " if error.filename else ""
        raise click.BadParameter(f"{told}{error.strerror}", param_hint="--input") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{where} is no UTF-8: {error}", param_hint="--input") from error
