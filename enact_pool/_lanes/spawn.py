"""How a worker process is started: by loky, with descriptors of its own.

It is a clean interpreter, not a fork, which does not import the caller's
`__main__`. Of loky's executor nothing is used. It needs two threads and a queue
per executor, and a worker that dies takes its executor with it. One process and
its pipes need neither, and their descriptors signal at once what happened.

The new process is started by the command line of the standard library's "spawn" (so that
`multiprocessing.set_executable`, interpreter flags and frozen programs work), which imports
multiprocessing, but not loky. Loky's resource tracker, another process that imports it, is not
started either.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from multiprocessing import Process, context, resource_tracker
from multiprocessing.context import get_spawning_popen, set_spawning_popen
from multiprocessing.util import Finalize
from pickle import dumps
from typing import Any

from attrs import field, frozen

from enact_pool._lanes.worker_command import check_executable, import_path, worker_command
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickler import ByValuePickler
from enact_pool._mirror.caller.snapshot import Snapshot
from enact_pool._python.interrupts import handlers_deferred, signals_blocked
from enact_pool._python.locks import check_lock
from enact_pool._wire.worker_config import WorkerConfig
from enact_pool._worker.main import serve

# joblib has a copy of loky, and each finds itself by a name that both put into this
# table: if ours came last, joblib would start its workers by ours, without its resource
# tracker, and what it shares with them would stay till the end.
_start_methods: dict[str, Any] = context._concrete_contexts  # type: ignore[attr-defined]
_known = dict(_start_methods)
from loky import cpu_count  # noqa: E402
from loky.backend.fork_exec import fork_exec  # noqa: E402
from loky.backend.popen_loky_posix import Popen  # noqa: E402
from loky.process_executor import MAX_DEPTH  # noqa: E402

_start_methods.update(_known)

__all__ = ["MAX_DEPTH", "Popen", "WorkerSpec", "cpu_count", "spawn", "undisturbed"]

# Native libraries start a thread for each CPU, in every worker, unless these
# say otherwise.
_THREAD_LIMITS = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class Initializer:
    """What workers call first: a function, or None, and its arguments. Raises what pickling raises.

    It is pickled once, as if for a process that is being started: locks, queues and
    shared values of multiprocessing can be pickled at no other time. If it has
    descriptors, which each process has to inherit, it is pickled for each.
    """

    def __init__(self, function: Callable[..., object] | None, args: tuple[Any, ...]) -> None:
        self._call = function, args
        rehearsal: Any = _Rehearsal()
        before = get_spawning_popen()
        set_spawning_popen(rehearsal)
        try:
            self._pickled, needs = self._pickle()
            # What a worker must have to call it.
            self.manifest: Manifest = Snapshot().manifest(needs)
        finally:
            set_spawning_popen(before)
        self._has_descriptors = rehearsal.has_descriptors

    def _pickle(self) -> tuple[bytes, Needs]:
        file = BytesIO()
        pickler = _Pickler(file)
        pickler.dump(self._call)
        return file.getvalue(), pickler.needs

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (self._pickle()[0] if self._has_descriptors else self._pickled,)


class _Pickler(ByValuePickler):
    """With advice on locks that no worker can have."""

    def reducer_override(self, obj: Any) -> Any:
        check_lock(obj)
        return super().reducer_override(obj)


class _Rehearsal:
    """In the place of a process that is being started."""

    DupFd = Popen.DupFd
    has_descriptors = False

    def duplicate_for_child(self, descriptor: int) -> int:
        self.has_descriptors = True
        return descriptor


@frozen
class WorkerSpec:
    """What the workers of a pool have in common.

    `initializer` becomes its pickle in a worker. `idle_timeout` is in
    seconds; None waits for ever. `cpus` is the share of the CPUs that pools
    inside a worker may use; `spin` is for the worker's waits: see `spin_poll`.
    """

    initializer: Initializer
    depth: int
    idle_timeout: float | None = None
    env: Mapping[str, str] = field(factory=dict)
    cpus: int = 1
    spin: bool = False

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a worker gets beside its parent's."""
        limits = self.thread_limits()
        unset = {name: limit for name, limit in limits.items() if name not in os.environ}
        return {**unset, **self.env}

    def thread_limits(self) -> dict[str, str]:
        """Return the variables that limit threads of native libraries, with a worker's share."""
        return {name: str(self.cpus) for name in _THREAD_LIMITS}


class _Inherited:
    """A descriptor that a starting process keeps, under the same number."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        starting: Any = get_spawning_popen()
        return int, (starting.duplicate_for_child(self._descriptor),)


class _NoForks:
    """While its lock is held, this process is not forked by another thread.

    The child would find locks of multiprocessing held by a thread that it does
    not have, and hang when it starts a worker.
    """

    def __init__(self) -> None:
        # Re-entrant: starting a process may fork.
        self.lock = threading.RLock()
        os.register_at_fork(
            before=lambda: self.lock.acquire(),
            after_in_parent=lambda: self.lock.release(),
            after_in_child=self._renew,
        )

    def _renew(self) -> None:
        self.lock = threading.RLock()


_no_forks = _NoForks()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within, a worker can be started: nobody forks, and no signal handler raises.

    A Ctrl-C in the 100 ms before the worker can ignore it would end it with a
    traceback: what is blocked stays blocked across exec, until `serve`.
    """
    check_executable()
    with _no_forks.lock, handlers_deferred(), _standard_streams_open():
        # Started in there, it would have signals blocked.
        resource_tracker.ensure_running()
        with signals_blocked():
            yield


@contextmanager
def _standard_streams_open() -> Iterator[None]:
    """Within, descriptors 0 to 2 are open: of a program that has closed them, to nothing.

    Workers inherit them, and would mistake another file with its number for one of them.
    """
    opened: list[int] = []
    try:
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                # The lowest number that is free: this one, unless another thread is quicker.
                opened.append(os.open(os.devnull, os.O_RDWR))
        yield
    finally:
        for number in opened:
            os.close(number)


class _Popen(Popen):  # type: ignore[misc]
    """A process of loky's that finds this package where this process has."""

    def __init__(self, process: Any) -> None:
        # Not as loky does it, which flushes stdout and stderr: there may be none.
        self.returncode = None
        self._fds: list[int] = []
        self._launch(process)

    def _launch(self, process: Any) -> None:
        """Start the process, and send it its configuration. Raises `OSError`."""
        # What is pickled asks it to keep descriptors.
        set_spawning_popen(self)
        try:
            tracker: Any = resource_tracker
            self.duplicate_for_child(tracker.getfd())
            preparation = {
                "name": process.name,
                "authkey": bytes(process.authkey),
                "sys_path": import_path(),
                "sys_argv": getattr(sys, "argv", [""]),
            }
            preparing = dumps(preparation) + dumps(process)
        finally:
            set_spawning_popen(None)
        with ExitStack() as ends:
            # It closes when the process, and those that it has forked, have ended.
            self.sentinel, alive = _pipe(ends)
            read_end, write_end = _pipe(ends)
            command = worker_command(tracker.getfd(), read_end, process.name)
            self.pid = fork_exec(command, [*self._fds, alive, read_end], env=process.env)
            ends.pop_all()
        Finalize(self, os.close, (self.sentinel,))
        os.close(alive)
        os.close(read_end)
        try:
            with open(write_end, "wb") as file:
                file.write(preparing)
        except BrokenPipeError:
            return  # it is dead, as will be seen


def _pipe(ends: ExitStack) -> tuple[int, int]:
    """Return a pipe whose ends the stack closes."""
    pipe = os.pipe()
    for end in pipe:
        ends.callback(os.close, end)
    return pipe


def spawn(spec: WorkerSpec, descriptors: Sequence[int], definitions: bytes) -> Popen:
    """Start a worker. Raises `OSError`.

    Args:
        spec: The configuration of the pool's workers.
        descriptors: The first six attributes of `WorkerConfig`, which the worker inherits.
        definitions: What the initializer refers to: see `_mirror.caller.delivery`.
    """
    # Pickling replaces these, and the initializer, by what the worker receives.
    inherited: list[Any] = [_Inherited(descriptor) for descriptor in descriptors]
    commands, permits, answers, side, recording, lifeline = inherited
    initializer: Any = spec.initializer
    config = WorkerConfig(
        commands=commands,
        permits=permits,
        answers=answers,
        side=side,
        recording=recording,
        lifeline=lifeline,
        depth=spec.depth,
        cpus=spec.cpus,
        spin=spec.spin,
        idle_timeout=spec.idle_timeout,
        env=dict(spec.env),
        thread_limits=spec.thread_limits(),
        definitions=definitions,
        initializer=initializer,
    )
    process: Any = Process(target=serve, args=(config,), name="enact_pool-worker")
    # What loky adds to a process.
    process.env = spec.environment()
    # Not `process.start()`: multiprocessing would wait for the worker at exit,
    # in forked children of this process too, and would refuse to start it in a
    # daemonic process.
    return _Popen(process)
