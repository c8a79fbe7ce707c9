"""What tasks print, for objects in the place of the caller's stdout and stderr.

    worker                          caller
    ------                          ------
    descriptor 1 or 2  == pipe ==>  Relay  -- write(text) -->  what `sys.stdout` was

Workers have the caller's descriptors 1 and 2. But `contextlib.redirect_stdout`, `%%capture`,
`capsys` and graphical consoles replace `sys.stdout` by an object, and what is written to
descriptor 1 does not reach that. So if `sys.stdout` or `sys.stderr` has no working `fileno()`
when a run begins, or a call is submitted, that descriptor of the workers is a pipe of a
relay. `fileno()` decides: an object that has one, as that of a Jupyter kernel has, represents
the descriptor. So do None and a closed object, which cannot be written to.

A relay has a thread, so that text is shown as it is printed. A result must not be there before
what its task has printed, so whoever releases results calls `Relay.drain` first. It writes
what is in the pipe at that moment, in the calling thread, and does not wait for more: at most
what a pipe holds, though the process that a task has left running prints without an end. A
worker flushes its streams before it answers for a task that printed to a relay.

Runs and calls share the relay of the same objects. Each has a `Use` of it, and `end_unused`
ends the relays that have none. (Uses are known by weak references: a use that an interrupt
has lost, or whose call was dropped, is none.) An executor keeps the use of the last call that
was submitted, so that calls in a row need one relay.

When a relay ends, its pipe is closed. A run sends the lanes that it releases the caller's
descriptors before that. So what a thread of a worker prints later goes there, and so does
what the worker prints when it exits. A process that a task has left running keeps the pipe,
and prints to a broken one. To keep the pipe open for it would stop it instead, when the pipe
is full, and would leave a descriptor and a thread behind.

`write` is called in either thread, in one at a time. It may be slow: results wait for it. It must
not wait for the thread that runs tasks, which waits for it. What C code has in a buffer of its
own, and what a pool inside a worker prints without a line break, is shown when it is flushed;
what is flushed after the end of its run is shown on the descriptor, if at all.

If an object's `write` raises, the run goes on: the first such error is raised at the end, as
that of an emitter is.
"""

from __future__ import annotations

import codecs
import contextvars
import errno
import fcntl
import os
import pickle
import select
import sys
import termios
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from enact_pool._core.states import IllegalTransition
from enact_pool._mirror.caller.items import Item, Manifest
from enact_pool._mirror.worker.followed_state import RELAYED
from enact_pool._python.interrupts import handlers_deferred, raise_interrupt

if TYPE_CHECKING:
    # What is in the place of stdout and of stderr; None if the descriptor is used.
    Replaced = tuple[Any, Any]

__all__ = ["Relay", "Use", "end_unused", "relays", "replaced_streams", "use_relay"]

_READ_BYTES = 1 << 16
_SLOT = "process", "streams"

_numbers = count(1)


class Use:
    """The use of a relay, until `end` is called or this object is garbage."""

    __slots__ = ("__weakref__", "relay")

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        relay.uses.add(self)

    def end(self) -> None:
        """Release the relay; `end_unused` ends it if nothing else needs it."""
        self.relay.uses.discard(self)


class _Pipe:
    """One pipe, and the object that gets its text."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.read_end, self.write_end = os.pipe()
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> bytes:
        """Return what is in the pipe now."""
        waiting = fcntl.ioctl(self.read_end, termios.FIONREAD, bytes(4))
        size = int.from_bytes(waiting, sys.byteorder)
        return os.read(self.read_end, size) if size else b""


class Relay:
    """The pipes for one pair of replaced streams, and the thread that reads them."""

    def __init__(self, replaced: Replaced) -> None:
        """Open the pipes and start the thread.

        Raises:
            OSError: no descriptor is left.
            RuntimeError: no thread can be started.
        """
        self.replaced = replaced
        self.uses: weakref.WeakSet[Use] = weakref.WeakSet()
        # Whether a thread is about to end it.
        self.is_claimed = False
        # What the first `write` that failed has raised.
        self.error: BaseException | None = None
        # Held while a pipe is read and its text is written: so text stays in order, and when
        # `drain` returns, the thread is not about to write what came before. Re-entrant: a
        # signal handler, or the object's `write`, may run tasks.
        self._lock = threading.RLock()
        self._is_over = False
        self._numbers: list[int | None] = [None, None]
        self._pipes: list[_Pipe] = []
        # By stream: its pipe, of which both may have the same.
        self._by_stream: list[_Pipe | None] = [None, None]
        self._open: list[int] = []
        self._thread: threading.Thread | None = None
        # The manifest that was made last, and what it was made of.
        self._manifest: tuple[Manifest, Manifest] = (), ()
        self._item: tuple[Item, Item] | None = None
        with handlers_deferred():
            try:
                self._start()
            except BaseException:
                self._close()
                raise

    def _start(self) -> None:
        out, err = self.replaced
        for index, target in enumerate((out, err)):
            if target is None:
                continue
            if index and target is out:
                # One pipe, so that the order between both stays.
                self._by_stream[1], self._numbers[1] = self._by_stream[0], self._numbers[0]
                continue
            pipe = _Pipe(target)
            self._open += [pipe.read_end, pipe.write_end]
            self._pipes.append(pipe)
            self._by_stream[index], self._numbers[index] = pipe, next(_numbers)
        self._woken, self._wake = os.pipe()
        self._open += [self._woken, self._wake]
        # Consoles may identify the owner of a text by a context variable.
        read = partial(contextvars.copy_context().run, self._read)
        thread = threading.Thread(target=read, name="enact_pool-relay", daemon=True)
        thread.start()
        self._thread = thread

    def manifests(self, manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
        """Return what `caller_manifests` has returned, with the pipes in the place of the streams.

        The result is the same as long as that is.
        """
        state, *context = manifests
        if self._manifest[0] is not state:
            relayed = tuple(
                (self._relayed(item) if item.slot == _SLOT else item, now) for item, now in state
            )
            # In one step: other threads read it.
            self._manifest = state, relayed
        return self._manifest[1], *context

    def _relayed(self, streams: Item) -> Item:
        # Kept, since its number is what a worker has it by.
        if self._item is None or self._item[0] is not streams:
            if streams.content is None:
                raise IllegalTransition("the streams of a caller have no content")
            value = tuple(
                before if number is None else (RELAYED, number)
                for before, number in zip(pickle.loads(streams.content), self._numbers, strict=True)
            )
            content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            item = Item(streams.slot, streams.kind, streams.arguments, content, pin=self)
            self._item = streams, item
        return self._item[1]

    def in_place_of(self, descriptors: Sequence[int]) -> list[int]:
        """Return what workers have as 1 and 2, of which these are the caller's; they stay ours.

        Raises:
            OSError: the relay has ended.
        """
        if self._is_over:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return [
            usual if pipe is None else pipe.write_end
            for usual, pipe in zip(descriptors, self._by_stream, strict=True)
        ]

    def drain(self) -> None:
        """Write what is in the pipes now; returns when the objects have it.

        Raises:
            BaseException: only what a signal handler has raised meanwhile.
        """
        with self._lock:
            if not self._is_over:
                for pipe in self._pipes:
                    self._pass_on(pipe, pipe.read())

    def _pass_on(self, pipe: _Pipe, printed: bytes, *, final: bool = False) -> None:
        text = pipe.decoder.decode(printed, final)
        if not text:
            return
        try:
            pipe.target.write(text)
        except BaseException as error:
            raise_interrupt(error)
            if self.error is None:
                self.error = error

    def _read(self) -> None:
        """Write what is printed, as it comes, until the relay is over."""
        poller = select.poll()
        for pipe in self._pipes:
            poller.register(pipe.read_end, select.POLLIN)
        poller.register(self._woken, select.POLLIN)
        while True:
            poller.poll()
            with self._lock:
                # Asked with the lock held: descriptors are closed after it is over.
                if self._is_over:
                    return
                for pipe in self._pipes:
                    self._pass_on(pipe, pipe.read())

    def end(self) -> None:
        """Write the remaining text, and close the pipes; can be called again."""
        with self._lock:
            # Not by `drain` alone: from here on the thread writes nothing any more, so that
            # to wait for its end takes no time.
            self.drain()
            if not self._is_over:
                for pipe in self._pipes:
                    self._pass_on(pipe, b"", final=True)
                self._is_over = True
        with handlers_deferred():
            if self._thread is not None:
                os.write(self._wake, b"!")
                # The object's `write` may have run tasks, and this is the end of their run.
                if self._thread is not threading.current_thread():
                    self._thread.join()
                self._thread = None
            self._close()

    def abandon(self) -> None:
        """In a forked child: close the pipes, which are the parent's to read."""
        self._lock = threading.RLock()
        self._is_over, self._thread = True, None
        self._close()

    def _close(self) -> None:
        self._is_over = True
        while self._open:
            os.close(self._open.pop())
        # What workers have been sent keeps this: the objects may be large.
        self.replaced = None, None
        for pipe in self._pipes:
            pipe.target = None


class _Relays:
    """The relays of this process."""

    def __init__(self) -> None:
        # Re-entrant: a finalizer may submit calls. Nothing is written while it is held.
        self.lock = threading.RLock()
        # Those that have not ended; replaced, never changed.
        self.active: tuple[Relay, ...] = ()

    def use(self, replaced: Replaced) -> Use:
        out, err = replaced
        with self.lock:
            for relay in self.active:
                same = relay.replaced[0] is out and relay.replaced[1] is err
                if same and not relay.is_claimed:
                    return Use(relay)
            with handlers_deferred():  # one that nothing knows would never end
                relay = Relay(replaced)
                self.active = *self.active, relay
            return Use(relay)

    def end_unused(self) -> None:
        with self.lock:
            ending = [each for each in self.active if not each.uses and not each.is_claimed]
            for relay in ending:
                relay.is_claimed = True
        try:
            while ending:
                ending[-1].end()
                with self.lock:
                    self.active = tuple(each for each in self.active if each is not ending[-1])
                ending.pop()
        finally:
            for relay in ending:
                # An interrupt came in between: the next one goes on with it.
                relay.is_claimed = False

    def renew(self) -> None:
        """In a forked child: another thread may have held the lock, and no relay is its own."""
        active = self.active
        self.__init__()  # type: ignore[misc]
        for relay in active:
            relay.abandon()


relays = _Relays()
os.register_at_fork(after_in_child=relays.renew)


def use_relay(replaced: Replaced) -> Use:
    """Return the use of the relay of these objects, which is started if there is none.

    Raises:
        OSError: no descriptor is left.
        RuntimeError: no thread can be started.
    """
    return relays.use(replaced)


def end_unused() -> None:
    """End the relays that nothing uses; writes what is in their pipes."""
    relays.end_unused()


def _nothing() -> None:
    return None


# The objects that were found last to represent their descriptors, by weak references: a file
# that the program forgets must not be kept open here.
_usual: tuple[Callable[[], Any], Callable[[], Any]] = (_nothing, _nothing)


def replaced_streams() -> Replaced | None:
    """Return the objects that are in the place of stdout and stderr; None if none is.

    Takes 0.2 us as long as these are the same objects, and both represent their descriptors.
    """
    global _usual
    out, err = getattr(sys, "stdout", None), getattr(sys, "stderr", None)
    # A reference that is dead returns None, and None is never replaced.
    if _usual[0]() is out and _usual[1]() is err:
        return None
    is_out, is_err = _is_replaced(out, 1), _is_replaced(err, 2)
    if is_out or is_err:
        return (out if is_out else None, err if is_err else None)
    try:
        _usual = _reference(out), _reference(err)
    except TypeError:
        pass  # there is no reference to it, and it is asked each time
    return None


def _reference(stream: Any) -> Callable[[], Any]:
    return _nothing if stream is None else weakref.ref(stream)


def _is_replaced(stream: Any, descriptor: int) -> bool:
    """Return whether an object can be written to, and writes elsewhere than a descriptor does."""
    if stream is None:
        return False
    try:
        number = stream.fileno()
        if number == descriptor or os.path.sameopenfile(number, descriptor):
            return False
    except BaseException as error:
        raise_interrupt(error)
    try:
        return callable(stream.write) and getattr(stream, "closed", False) is not True
    except BaseException as error:
        raise_interrupt(error)
        return False
