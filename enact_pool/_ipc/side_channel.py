"""The side channel: what travels beside the pipes between a worker and its parent.

It is a Unix socket that carries messages, each of which comes whole or not at
all, from whichever thread or child process it was sent:

    PARCEL   the descriptor of a parcel, both ways: see `parcel`; or of the caller's stdout
             and stderr
    OUTPUT   the descriptors of what callables print, from the worker: see `capture`
    RECORD   a log record, from the worker: see `forwarding`
    WARNING  a warning, likewise

What was sent outlives its sender. The sender waits while there is no room.
"""

from __future__ import annotations

import errno
import os
import sys
from _socket import (
    AF_UNIX,
    CMSG_LEN,
    MSG_DONTWAIT,
    MSG_PEEK,
    SCM_RIGHTS,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
    socketpair,
)
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from struct import Struct

from enact_pool._python.interrupts import handlers_deferred
from enact_pool._wire.frames import FrameError

__all__ = [
    "HEADER",
    "MOST_BYTES",
    "NUMBERS",
    "Kind",
    "SideChannelReader",
    "header",
    "pair",
    "send_descriptors",
]

# The most that a message has beside its header. The smallest buffer takes twice as much.
MOST_BYTES = 48 * 1024

# What of a log record are numbers.
NUMBERS = frozenset(
    ("levelno", "lineno", "created", "msecs", "relativeCreated", "thread", "process")
)

# _MAGIC, kind, tag: the number of a callable in its worker (see `wire`), or of a run
HEADER = Struct("<IIQ")
_MAGIC = 0x5E2D1EAF

# macOS has no others for Unix sockets.
_TYPE = SOCK_DGRAM if sys.platform == "darwin" else SOCK_SEQPACKET
_SEND_BUFFER_BYTES = 256 * 1024

# How many there is no room for at a time: who sends without an end is not read without one.
_MOST_MESSAGES = 10_000

# How many descriptors a message has at most.
_MOST_DESCRIPTORS = 2
_DESCRIPTOR_BYTES = array("i").itemsize


class Kind:
    """Kinds of messages."""

    PARCEL = 1
    OUTPUT = 2
    RECORD = 3
    WARNING = 4


def pair() -> tuple[int, int]:
    """Both ends of a new channel. Signal handlers must be deferred. Raises `OSError`."""
    one, other = socketpair(AF_UNIX, _TYPE)
    if _TYPE == SOCK_DGRAM:
        from _socket import SO_SNDBUF

        # Which is what limits a message, to 2 KiB.
        for end in (one, other):
            end.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER_BYTES)
    for end in (one, other):
        os.set_inheritable(end.fileno(), False)
    return one.detach(), other.detach()


def header(kind: int, tag: int) -> bytes:
    """What a message begins with."""
    return HEADER.pack(_MAGIC, kind, tag)


def send_descriptors(to: int, kind: int, tag: int, descriptors: Sequence[int]) -> None:
    """Send a message with descriptors, which stay the sender's too. Raises `OSError`."""
    import _socket

    rights = array("i", descriptors).tobytes()
    with handlers_deferred(), _borrowed(to) as to_socket:
        # A reader that is gone must not cost the sender its life.
        flags = getattr(_socket, "MSG_NOSIGNAL", 0)
        to_socket.sendmsg([header(kind, tag)], [(SOL_SOCKET, SCM_RIGHTS, rights)], flags)


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket]:
    """A socket object for a descriptor, which it does not close. Handlers must be deferred."""
    borrowed = socket(AF_UNIX, _TYPE, 0, descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()


class SideChannelReader:
    """What has come to one end. Owns the descriptors that nobody has asked for yet."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._records: list[tuple[int, int, bytes]] = []
        # By the numbers of the callables.
        self._parcels: dict[int, list[int]] = {}
        # The number of a run, and what its callables print to.
        self._output: tuple[int, list[int]] = 0, []
        # Whether a parcel was what `collect` came to, and nothing behind it can be taken.
        self.is_at_large_value = False

    def fileno(self) -> int:
        """What to wait for."""
        return self._source

    def collect(self) -> bool:
        """Take what is there, up to a parcel; gives whether there may be more later.

        A parcel stays where it is until it is asked for: it is a descriptor, of which a
        process may have few, and its sender does not wait for its answer to be read.
        """
        self.is_at_large_value = False
        with handlers_deferred(), _borrowed(self._source) as source:
            for _ in range(_MOST_MESSAGES):
                try:
                    if _next_kind(source) == Kind.PARCEL:
                        self.is_at_large_value = True
                        break
                    if not self._take(source):
                        return False
                except BlockingIOError:
                    break
                except OSError:
                    return False  # the other end is gone
        return True

    def records(self) -> list[tuple[int, int, bytes]]:
        """The records and warnings that came: kind, number of the callable, and content."""
        records, self._records = self._records, []
        return records

    def output(self, run: int) -> list[int]:
        """The descriptors of what this run's callables print to; they stay ours. Or none."""
        of_run, descriptors = self._output
        return descriptors if of_run == run else []

    def parcel(self, tag: int) -> int:
        """The descriptor of the parcel that was sent with this tag: see `descriptors`."""
        descriptors = self.descriptors(tag)
        if len(descriptors) != 1:
            _close(descriptors)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return descriptors[0]

    def descriptors(self, tag: int) -> list[int]:
        """The descriptors that were sent with this tag, which are the caller's then.

        Those before it are what somebody sent and did not live to tell of. Signal handlers
        must be deferred. Does not wait: raises `FrameError` if it is not there, and `OSError`
        if there was no descriptor to be had for it.
        """
        try:
            with _borrowed(self._source) as source:
                while tag not in self._parcels:
                    if not self._take(source):
                        raise FrameError("a parcel was lost")
        except OSError as error:
            raise FrameError(f"a parcel was not to be had: {error}") from error
        descriptors = self._parcels.pop(tag)
        for other in [other for other in self._parcels if other < tag]:
            _close(self._parcels.pop(other))
        return descriptors

    def _take(self, source: socket) -> bool:
        """Take one message; gives False if there are no more. Raises `OSError`."""
        most = MOST_BYTES + HEADER.size
        room = CMSG_LEN(_MOST_DESCRIPTORS * _DESCRIPTOR_BYTES)
        message, ancillary, _, _ = source.recvmsg(most, room, MSG_DONTWAIT)
        descriptors = array("i")
        for level, what, content in ancillary:
            if (level, what) == (SOL_SOCKET, SCM_RIGHTS):
                descriptors.frombytes(
                    content[: len(content) // _DESCRIPTOR_BYTES * _DESCRIPTOR_BYTES]
                )
        self._sort(message, list(descriptors))
        return bool(message)

    def _sort(self, message: bytes, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        magic, kind, tag = 0, 0, 0
        if len(message) >= HEADER.size:
            magic, kind, tag = HEADER.unpack_from(message)
        if magic != _MAGIC:
            _close(descriptors)  # a callable has written to it
        elif kind == Kind.PARCEL:
            _close(self._parcels.pop(tag, []))
            self._parcels[tag] = descriptors
        elif kind == Kind.OUTPUT:
            _close(self._output[1])
            if len(descriptors) < _MOST_DESCRIPTORS:
                _close(descriptors)  # there was none to be had for one of them
            self._output = tag, descriptors
        else:
            _close(descriptors)
            self._records.append((kind, tag, message[HEADER.size :]))

    def drain(self) -> None:
        """Forget all that came, and what is there. Signal handlers must be deferred."""
        while self.collect() and self.is_at_large_value:
            with _borrowed(self._source) as source:
                self._take(source)
            self.clear()
        self.clear()

    def clear(self) -> None:
        """Forget all that came. Signal handlers must be deferred."""
        self._records.clear()
        _close(self._output[1])
        self._output = 0, []
        while self._parcels:
            _close(self._parcels.popitem()[1])


def _next_kind(source: socket) -> int:
    """The kind of the next message, which stays there, with its descriptors; 0 if it is none."""
    start = source.recv(HEADER.size, MSG_PEEK | MSG_DONTWAIT)
    if len(start) < HEADER.size:
        return 0
    magic, kind, _ = HEADER.unpack(start)
    return int(kind) if magic == _MAGIC else 0


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
