"""What the engine uses of a lane.

`LocalLane` is a lane whose worker is a process on this machine. Tests have one without any
process.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from enact_pool._core.postmortem import ExitReport
    from enact_pool._ipc.answer_journal import Journal
    from enact_pool._ipc.flight_recorder import Activity
    from enact_pool._ipc.large_value import LargeValue
    from enact_pool._lanes.death import Death
    from enact_pool._lanes.spawn import WorkerSpec
    from enact_pool._mirror.caller.items import Manifest
    from enact_pool._model.limits import LimitViolation

__all__ = ["Frame", "Lane", "SideReader", "StartError", "WorkerNotes"]


@frozen
class StartError:
    """Why a worker could not be started, and the traceback of an initializer that has raised."""

    reason: str
    traceback: str = ""


# The header of an answer and its payload: see `frames`.
Frame = tuple[tuple[int, ...], bytes]


class WorkerNotes(Protocol):
    """What a worker notes in memory that outlives it: see `flight_recorder`."""

    @property
    def begun(self) -> int: ...

    @property
    def activity(self) -> Activity | None: ...

    @property
    def flushing(self) -> bool: ...

    def reported(self) -> list[int]: ...

    @property
    def journal(self) -> Journal: ...


class SideReader(Protocol):
    """What has come over the side channel: log records, and descriptors of large values."""

    @property
    def is_at_large_value(self) -> bool:
        """Whether the next message in it belongs to an answer that has not been read."""
        ...

    def collect(self) -> bool:
        """Read what is there; return whether more may come."""
        ...

    def records(self) -> list[tuple[int, int, bytes]]:
        """Take the log records: kind, serial number, content."""
        ...

    def fileno(self) -> int: ...


class Lane(Protocol):
    """A lane and its worker. Used by one thread at a time; but any may kill the worker.

    Attributes:
        number: Its place in the pool, which the lane that replaces it will have.
        ready: Whether the worker can take batches.
        is_new: Whether no run has released it yet.
        sent: The serial number of the last task that was sent.
        ran: How many tasks the worker has run.
        batch_limit: How many tasks may be in a batch.
        drained_at: When it was drained, on the monotonic clock; 0.0 if it was not.
        has_spoken: Whether anything that the worker has sent was read.
        start_error: Why the initializer failed; None if it has not.
        is_receiving: Whether a part of an answer was read.
        violation: The limit violation that the worker was killed for.
        left_running: What a callable has left running in the worker, as a clause; mostly empty.
        outbox: What is queued and was not written, as far as is known.
        commands, answers, exit: Descriptors to poll; `exit` is None where there are no pidfds.
    """

    number: int
    ready: bool
    is_new: bool
    sent: int
    ran: int
    batch_limit: int
    drained_at: float
    has_spoken: bool
    start_error: StartError | None
    is_receiving: bool
    violation: LimitViolation | None
    left_running: str
    commands: int
    answers: int
    exit: int | None

    @property
    def outbox(self) -> Sized: ...

    @property
    def pid(self) -> int: ...

    @property
    def is_there(self) -> bool:
        """Whether the process id is the worker's still."""
        ...

    @property
    def notes(self) -> WorkerNotes: ...

    @property
    def side(self) -> SideReader: ...

    # From its start to its end

    def start(self, spec: WorkerSpec) -> None:
        """Start the worker. Raises `OSError`; then nothing is left behind."""
        ...

    def drain(self) -> None:
        """Send nothing more: the worker exits when it has done what it was sent."""
        ...

    def kill(self) -> None:
        """Kill the worker, if it is still there, and all that it has started."""
        ...

    def kill_if(self, condition: Callable[[], bool]) -> bool:
        """Kill the worker if this holds while it is stopped; return whether it is gone."""
        ...

    def kill_for_violation(self, activity: Activity, violation: LimitViolation) -> bool:
        """Kill the worker if it still does what violated a limit; return whether it is gone."""
        ...

    def terminate(self) -> None:
        """Ask the worker to exit (SIGTERM)."""
        ...

    def resume(self) -> None:
        """Let the worker go on if it was stopped (SIGCONT)."""
        ...

    def has_exited(self) -> bool: ...

    def wait_for_exit(self, seconds: float) -> None:
        """Give the worker some time to exit."""
        ...

    def wait(self) -> None:
        """Wait for a worker that has exited or was killed; what it has started ends with it."""
        ...

    def reap(self) -> tuple[ExitReport, Death]:
        """Release everything of a worker that has exited; return what is known of its end."""
        ...

    def end(self) -> None:
        """Kill the worker, if it is still there, and release everything; can be called again."""
        ...

    def abandon(self) -> None:
        """In a forked child: release the worker, which is the parent's."""
        ...

    # What it is sent

    def queue_definitions(self, count: int, *manifests: Manifest) -> None:
        """Queue what the worker lacks of these for the next `count` tasks. Raises `OSError`."""
        ...

    def queue_setup(self, payload: bytes, large: LargeValue | None = None) -> None:
        """Queue the setup of a run. Raises `OSError`."""
        ...

    def queue_batch(self, count: int, payload: bytes) -> bool:
        """Queue a batch, and permit the worker to start it; return whether there was room."""
        ...

    def flush(self) -> bool:
        """Write what is queued; return whether that was all. Raises `BrokenPipeError`."""
        ...

    def revoke(self, count: int = ...) -> tuple[int, ...]:
        """Take back up to `count` permits; return the tasks that the worker will not start."""
        ...

    # What it has sent

    def receive(self) -> list[Frame] | None:
        """Return answers; None if there are none now. Raises `EOFError` and `MemoryError`."""
        ...

    def receive_large_value(self, serial: int, layout: bytes) -> Any:
        """Return the large value that belongs to an answer. Raises `OSError`."""
        ...

    def output(self) -> tuple[bytes, bytes] | None:
        """Return what the callable at work has printed. Raises `OSError`."""
        ...

    def clear_side(self) -> None:
        """Drop what is in the side channel: its run is over."""
        ...

    def is_at_rest(self, answered: int) -> bool:
        """Return whether the worker, which has answered up to this number, does nothing known."""
        ...

    @property
    def has_unread(self) -> bool:
        """Whether the worker has not read all that was written for it."""
        ...
