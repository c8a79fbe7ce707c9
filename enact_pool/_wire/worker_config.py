"""The configuration that a worker is started with, and what a process keeps of its own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WorkerConfig", "nesting"]


class WorkerConfig:
    """What the parent sends to a worker as it starts.

    A plain class: `attrs` takes too long to import in a worker.

    Attributes:
        commands: The descriptor that commands are read from.
        permits: The descriptor that permits are read from.
        answers: The descriptor that answers are written to.
        side: The descriptor of the worker's end of the side channel.
        recording: The descriptor of the flight recorder's file.
        lifeline: A descriptor that becomes readable when the parent is gone.
        depth: How many pools the worker is nested in.
        cpus: How many CPUs pools inside the worker may use.
        spin: Whether its waits poll before they sleep: see `spin_poll`.
        idle_timeout: After how many seconds without a command it exits; None for never.
        env: The environment variables that the pool sets.
        thread_limits: The environment variables that limit the threads of native libraries.
        definitions: What the initializer refers to: see `_mirror.caller.delivery`.
        initializer: A pickled pair of a function, or None, and its arguments.
    """

    __slots__ = (
        "answers",
        "commands",
        "cpus",
        "definitions",
        "depth",
        "env",
        "idle_timeout",
        "initializer",
        "lifeline",
        "permits",
        "recording",
        "side",
        "spin",
        "thread_limits",
    )

    def __init__(
        self,
        *,
        commands: int,
        permits: int,
        answers: int,
        side: int,
        recording: int,
        lifeline: int,
        depth: int,
        cpus: int,
        spin: bool,
        idle_timeout: float | None,
        env: Mapping[str, str],
        thread_limits: Mapping[str, str],
        definitions: bytes,
        initializer: bytes,
    ) -> None:
        self.commands = commands
        self.permits = permits
        self.answers = answers
        self.side = side
        self.recording = recording
        self.lifeline = lifeline
        self.depth = depth
        self.cpus = cpus
        self.spin = spin
        self.idle_timeout = idle_timeout
        self.env = env
        self.thread_limits = thread_limits
        self.definitions = definitions
        self.initializer = initializer


class _Nesting:
    """How deep in pools this process is, and its share of the CPUs.

    Attributes:
        depth: How many pools it is nested in; 0 in a process that is not a worker.
        cpus: How many CPUs its own pools may use; None for all.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.cpus: int | None = None


# Set once, when a worker starts.
nesting = _Nesting()
