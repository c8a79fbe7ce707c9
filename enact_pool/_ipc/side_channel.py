"""The side channel: a Unix socket between a worker and its parent, beside their pipes.

It carries messages. Each is received as a whole or not at all, whichever thread or
child process sends it:

    DESCRIPTORS  the descriptor of a large value, both ways: see `large_value`; or those of
                 the caller's stdout and stderr
    OUTPUT       the descriptors of output files, from the worker: see `output_file`
    RECORD       a log record, from the worker: see `log_forwarding`
    WARNING      a warning, from the worker

Messages outlive their sender. The sender waits while there is no room.
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

# The most bytes of a message besides its header. The smallest buffer holds twice as many.
MOST_BYTES = 48 * 1024

# The attributes of a log record that are numbers.
NUMBERS = frozenset(
    ("levelno", "lineno", "created", "msecs", "relativeCreated", "thread", "process")
)

# _MAGIC, kind, tag: the serial number of a task in its worker, or the number of a run
HEADER = Struct("<IIQ")
_MAGIC = 0x5E2D1EAF

# macOS has no other type of Unix socket that keeps messages apart.
_TYPE = SOCK_DGRAM if sys.platform == "darwin" else SOCK_SEQPACKET
_SEND_BUFFER_BYTES = 256 * 1024

# How many messages are read at a time: a worker that sends endlessly must not block the reader.
_MOST_MESSAGES = 10_000

# The most descriptors of a message.
_MOST_DESCRIPTORS = 2
_DESCRIPTOR_BYTES = array("i").itemsize


class Kind:
    """Kinds of messages."""

    DESCRIPTORS = 1
    OUTPUT = 2
    RECORD = 3
    WARNING = 4


def pair() -> tuple[int, int]:
    """Return both ends of a new channel. Signal handlers must be deferred. Raises `OSError`."""
    one, other = socketpair(AF_UNIX, _TYPE)
    if _TYPE == SOCK_DGRAM:
        from _socket import SO_SNDBUF

        # The default size limits a message to 2 KiB.
        for end in (one, other):
            end.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER_BYTES)
    for end in (one, other):
        os.set_inheritable(end.fileno(), False)
    return one.detach(), other.detach()


def header(kind: int, tag: int) -> bytes:
    """Return the header of a message."""
    return HEADER.pack(_MAGIC, kind, tag)


def send_descriptors(to: int, kind: int, tag: int, descriptors: Sequence[int]) -> None:
    """Send a message with descriptors, which the sender keeps, too. Raises `OSError`."""
    import _socket

    rights = array("i", descriptors).tobytes()
    with handlers_deferred(), _borrowed(to) as to_socket:
        # A reader that is gone must not kill the sender.
        flags = getattr(_socket, "MSG_NOSIGNAL", 0)
        to_socket.sendmsg([header(kind, tag)], [(SOL_SOCKET, SCM_RIGHTS, rights)], flags)


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket]:
    """Yield a socket of a descriptor, which it does not close. Handlers must be deferred."""
    borrowed = socket(AF_UNIX, _TYPE, 0, descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()


class SideChannelReader:
    """Reads one end, and owns the received descriptors until they are requested.

    Attributes:
        is_at_large_value: Whether `collect` stopped at a message with descriptors.
    """

    def __init__(self, source: int) -> None:
        self._source = source
        self._records: list[tuple[int, int, bytes]] = []
        # By tags.
        self._descriptors: dict[int, list[int]] = {}
        # The number of a run, and the descriptors of its output files.
        self._output: tuple[int, list[int]] = 0, []
        self.is_at_large_value = False

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._source

    def collect(self) -> bool:
        """Read all messages up to one with descriptors; return whether more may be sent.

        Descriptors stay in the channel until they are requested: a process may have few, and
        the sender of large values does not wait until its answers are read.
        """
        self.is_at_large_value = False
        with handlers_deferred(), _borrowed(self._source) as source:
            for _ in range(_MOST_MESSAGES):
                try:
                    if _next_kind(source) == Kind.DESCRIPTORS:
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
        """Return the records and warnings that were read: kind, serial number and content."""
        records, self._records = self._records, []
        return records

    def output(self, run: int) -> list[int]:
        """Return the descriptors of this run's output files, which stay ours; or an empty list."""
        of_run, descriptors = self._output
        return descriptors if of_run == run else []

    def descriptor(self, tag: int) -> int:
        """Return the single descriptor that was sent with this tag: see `descriptors`."""
        descriptors = self.descriptors(tag)
        if len(descriptors) != 1:
            _close(descriptors)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return descriptors[0]

    def descriptors(self, tag: int) -> list[int]:
        """Return the descriptors that were sent with this tag, which the caller owns then.

        Descriptors with lower tags are closed: their sender died before it wrote the answer.
        Signal handlers must be deferred. This does not wait: it raises `FrameError` if the
        message is not there, and `OSError` if this process had no descriptor left for it.
        """
        try:
            with _borrowed(self._source) as source:
                while tag not in self._descriptors:
                    if not self._take(source):
                        raise FrameError("descriptors were lost")
        except OSError as error:
            raise FrameError(f"descriptors cannot be received: {error}") from error
        descriptors = self._descriptors.pop(tag)
        for other in [other for other in self._descriptors if other < tag]:
            _close(self._descriptors.pop(other))
        return descriptors

    def _take(self, source: socket) -> bool:
        """Read one message; return False if there are no more. Raises `OSError`."""
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
        elif kind == Kind.DESCRIPTORS:
            _close(self._descriptors.pop(tag, []))
            self._descriptors[tag] = descriptors
        elif kind == Kind.OUTPUT:
            _close(self._output[1])
            if len(descriptors) < _MOST_DESCRIPTORS:
                _close(descriptors)  # this process had none left for one of them
            self._output = tag, descriptors
        else:
            _close(descriptors)
            self._records.append((kind, tag, message[HEADER.size :]))

    def drain(self) -> None:
        """Discard all messages, read and unread. Signal handlers must be deferred."""
        while self.collect() and self.is_at_large_value:
            with _borrowed(self._source) as source:
                self._take(source)
            self.clear()
        self.clear()

    def clear(self) -> None:
        """Discard all messages that were read. Signal handlers must be deferred."""
        self._records.clear()
        _close(self._output[1])
        self._output = 0, []
        while self._descriptors:
            _close(self._descriptors.popitem()[1])


def _next_kind(source: socket) -> int:
    """Return the kind of the next message, without reading it; 0 if it is invalid."""
    start = source.recv(HEADER.size, MSG_PEEK | MSG_DONTWAIT)
    if len(start) < HEADER.size:
        return 0
    magic, kind, _ = HEADER.unpack(start)
    return int(kind) if magic == _MAGIC else 0


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
