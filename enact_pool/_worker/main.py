"""The main function of a worker process: it prepares the process, runs the loop, and returns.

A worker imports no more of the package than it needs (no attrs, no ids): every
start, and so every replacement after a crash, waits for these imports.
"""

from __future__ import annotations

import faulthandler
import fcntl
import io
import os
import select
import signal
import sys
import threading

from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._mirror.worker.followed_state import FollowedState
from enact_pool._mirror.worker.received import Received
from enact_pool._system.descriptors import move_out_of_reach
from enact_pool._system.process_tree import kill_descendants
from enact_pool._wire.frames import LOST_PIPES, FrameError
from enact_pool._wire.worker_config import WorkerConfig, nesting
from enact_pool._worker.batches import BatchRunner
from enact_pool._worker.commands import Permits, read_commands
from enact_pool._worker.fork_guard import ForkGuard
from enact_pool._worker.loop import WorkerLoop
from enact_pool._worker.outcomes import OutcomePickler
from enact_pool._worker.process_state import own_workers

__all__ = ["serve"]


def serve(config: WorkerConfig) -> None:
    """Work until the parent closes its end, or has sent nothing for `config.idle_timeout`."""
    # In a session of its own: a signal that a callable sends to its process group reaches
    # no other process, and the parent can kill the session. Ctrl-C is not sent to it.
    os.setsid()
    # But a callable may send SIGINT. Not SIG_IGN, which programs that callables start
    # would inherit. Signals with handlers were blocked while this process started.
    signal.signal(signal.SIGINT, _ignore)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Programs that callables start must not read what is meant for the caller.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # A later callable's death must not lose what an earlier one printed.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    _die_with_parent(config.lifeline)
    commands, permits, answers, side, recording = map(
        move_out_of_reach,
        (config.commands, config.permits, config.answers, config.side, config.recording),
    )
    faulthandler.enable(recording, all_threads=False)
    # The crash of a child that a callable forked is not a crash of this worker.
    os.register_at_fork(after_in_child=faulthandler.disable)
    nesting.depth, nesting.cpus = config.depth, config.cpus
    recorder = FlightRecorder.of_worker(recording)
    received = Received(side, FollowedState(config.env, config.thread_limits))
    guard = ForkGuard()
    batches = BatchRunner(
        Permits(permits), answers, recorder, received, OutcomePickler(side, received, guard), guard
    )
    loop = WorkerLoop(batches, recorder, received, side, recording)
    try:
        if loop.initialize(config.definitions, config.initializer):
            loop.run(read_commands(commands, config.idle_timeout, config.spin, recorder))
        kill_descendants(but=own_workers())
        # A thread that a callable left may keep this process from exiting. The closed
        # pipe shows the parent that this worker is of no use any more.
        os.close(answers)
    except (OSError, FrameError):
        # A callable has closed, replaced or read a pipe. The parent, if it is alive, notices
        # that this process exits, and finds in the flight recorder which callable ran.
        os._exit(LOST_PIPES)


def _ignore(_signal: int, _frame: object) -> None:
    """Receive a signal, and do nothing."""


def _die_with_parent(lifeline: int) -> None:
    """Arrange for this process to be killed when its parent is gone.

    Only the parent holds the other end of the lifeline, and it never writes.
    """
    if sys.platform == "linux" and os.path.exists("/proc/self/fd"):
        # A file description of its own: all workers inherit the same one, whose
        # signals would be sent to the worker that set its owner last.
        own = os.open(f"/proc/self/fd/{lifeline}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.close(lifeline)
        fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
        # SIGKILL also ends a worker that is stuck in C code.
        fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([own], [], [], 0)[0]:
            # The parent was gone before the signal was armed.
            os._exit(LOST_PIPES)
    else:
        # No F_SETSIG here: a thread watches, which C code that holds the GIL delays.
        threading.Thread(target=_watch, args=(lifeline,), daemon=True, name="lifeline").start()


def _watch(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGKILL)
