"""The worker's end of the side channel, for log records: it knows which callable logs what."""

from __future__ import annotations

import errno
import os
import select
import threading
from _socket import AF_UNIX, MSG_DONTWAIT, SOCK_STREAM, socket

from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._ipc.side_channel import header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LogChannel", "mark_start"]

# The attribute of a thread with the serial number of the callable that started the thread,
# or that started the thread's starter.
_STARTED_BY = "_enact_pool_started_by"

# How long to wait for room on systems where no event signals it (macOS), in milliseconds.
_PAUSE_MS = 1


class LogChannel:
    """Sends messages from any thread of the worker, and from its forked children."""

    def __init__(self, side: int, recorder: FlightRecorder) -> None:
        """Send to this descriptor, which stays the worker's."""
        self._recorder = recorder
        # In a forked child, the serial number of the callable that forked it.
        self._forked_by: int | None = None
        # The serial numbers of threads that are about to fork, by the threads' ids: when the
        # child looks, the recorder, which it shares, may be about another callable.
        self._forking: dict[int, int] = {}
        _open_channels.append(self)
        # The actual type of the socket does not matter here.
        self._socket = socket(AF_UNIX, SOCK_STREAM, 0, side)

    def send(self, kind: int, content: bytes) -> None:
        """Send a message of the callable that runs; wait while there is no room.

        The wait counts as the callable's own time: if the clock stopped, a callable that logs
        without an end would have no time limit. Raises `OSError`.
        """
        message = header(kind, self.serial()) + content
        try:
            self._socket.send(message, MSG_DONTWAIT)
        except BlockingIOError:
            self._send_when_there_is_room(message)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._send_when_there_is_room(message)

    def serial(self) -> int:
        """Return the serial number of the callable that this thread works for; 0 if unknown.

        Threads other than the main thread may go on when their callable has ended.
        """
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            started_by: int = vars(thread).get(_STARTED_BY, 0)
            return started_by
        if self._forked_by is not None:
            return self._forked_by
        return 0 if self._recorder.loading else self._recorder.begun

    def before_fork(self) -> None:
        """Store the serial number of this thread, which is about to fork."""
        self._forking[threading.get_ident()] = self.serial()

    def after_fork_in_parent(self) -> None:
        """Forget the serial number of this thread, which has forked."""
        self._forking.pop(threading.get_ident(), None)

    def after_fork_in_child(self) -> None:
        """Keep the number of the thread that forked: it is this process's main thread."""
        self._forked_by = self._forking.get(threading.get_ident(), 0)
        self._forking.clear()

    def _send_when_there_is_room(self, message: bytes) -> None:
        poller = select.poll()
        poller.register(self._socket.fileno(), select.POLLOUT)
        while True:
            poller.poll()
            try:
                self._socket.send(message, MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                select.poll().poll(_PAUSE_MS)
            else:
                return

    def close(self) -> None:
        """Release the descriptor, without closing it."""
        self._socket.detach()
        _open_channels.remove(self)


def mark_start(thread: Any, channel: LogChannel) -> None:
    """Store which callable starts this thread."""
    vars(thread)[_STARTED_BY] = channel.serial()


# The open channels of this process.
_open_channels: list[LogChannel] = []


def _before_fork() -> None:
    for channel in _open_channels:
        channel.before_fork()


def _after_fork_in_parent() -> None:
    for channel in _open_channels:
        channel.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for channel in _open_channels:
        channel.after_fork_in_child()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
