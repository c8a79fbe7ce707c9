"""Lanes without processes, on a clock that only moves when the run waits.

A `FakeWorld` has the time, and events that are to come. A `FakeLane` is what the engine uses of a
lane; its worker is a small simulation that takes frames and answers with real ones, and dies when
the script of a task says so. `FakePoller` lets the time pass until a lane has something to read.
"""

from __future__ import annotations

import heapq
import pickle
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from enact_pool._core.postmortem import ExitReport
from enact_pool._engine.task_source import Batch, TaskSource
from enact_pool._ipc.answer_journal import JOURNAL_BYTES, Journal
from enact_pool._lanes.death import Death
from enact_pool._wire.frames import (
    ANSWER,
    NONE,
    Answer,
    Ending,
    FrameReader,
    pack_answer,
    pack_ran,
    ran_parts,
)
from enact_pool._wire.setup import INPUT, RunSetup

__all__ = ["FakeLane", "FakePoller", "FakeWorld", "Script", "ScriptSource"]

_descriptors = count(10_000)
_pids = count(1_000_000)


class FakeWorld:
    """The time in seconds, and what is to happen."""

    def __init__(self) -> None:
        self.now = 100.0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self.lanes: list[FakeLane] = []
        # How many workers still fail to start, and how many die before they are ready.
        self.failing_starts = 0
        self.stillborn = 0

    def clock(self) -> float:
        return self.now

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        """Have something happen so many seconds from now."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), act))

    def pass_until(self, end: float, is_ready: Callable[[], bool]) -> None:
        """Let the time pass until something is ready, at most until `end`."""
        while not is_ready() and self._events and self._events[0][0] <= end:
            self.now, _, act = heapq.heappop(self._events)
            act()
        if not is_ready():
            self.now = max(self.now, end)


class Script:
    """What a task does in its worker, and a callable that stands for it.

    Attributes:
        seconds: How long it runs.
        ends: "returns", "raises", "dies" (in the middle), or "hangs".
        loads: Whether its batch can be unpickled: "well", "fails", or "dies"; or "unpicklable".
        started: How often it was started.
    """

    def __init__(self, seconds: float = 0.001, ends: str = "returns", loads: str = "well") -> None:
        self.seconds = seconds
        self.ends = ends
        self.loads = loads
        self.started = 0
        self.name = "script"

    def run(self, _: object) -> None:
        """Stand for a callable; nothing calls it."""


class _Notes:
    """What a worker has noted."""

    def __init__(self) -> None:
        self.begun = self.loading = self.receiving = self.since_ns = 0
        self.flushing = False
        self.journal = Journal(memoryview(bytearray(JOURNAL_BYTES)))

    @property
    def activity(self) -> tuple[int, int, int] | None:
        if not self.since_ns:
            return None
        return self.begun, self.loading, self.since_ns

    def reported(self) -> list[int]:
        return [0, 0]


class _Side:
    """A side channel on which nothing comes."""

    is_at_large_value = False

    def __init__(self) -> None:
        self._descriptor = next(_descriptors)

    def collect(self) -> bool:
        return False

    def records(self) -> list[tuple[int, int, bytes]]:
        return []

    def fileno(self) -> int:
        return self._descriptor


class FakeLane:
    """A lane whose worker is simulated."""

    def __init__(self, world: FakeWorld, scripts: dict[int, Script], number: int) -> None:
        self._world = world
        self._scripts = scripts
        self.number = number
        self.ready = False
        self.is_new = True
        self.sent = self.ran = 0
        self.batch_limit = 50
        self.drained_at = 0.0
        self.has_spoken = False
        self.start_error: Any = None
        self.is_receiving = False
        self.violation: Any = None
        self.left_running = ""
        self.commands, self.answers = next(_descriptors), next(_descriptors)
        self.exit: int | None = next(_descriptors)
        self.pid = next(_pids)
        self.notes = _Notes()
        self.side = _Side()
        self.state = "new"
        self._exit_code: int | None = None
        self._permits: deque[int] = deque()
        self._queue: deque[tuple[range, list[Script]]] = deque()
        self._batch: deque[tuple[int, Script]] = deque()
        self._written: deque[bytes] = deque()
        self._reader = FrameReader(ANSWER)
        self._is_busy = False
        self._last = 0
        self.blocked = False
        world.lanes.append(self)

    # For the engine

    @property
    def is_there(self) -> bool:
        return self.state in ("starting", "running")

    def start(self, spec: object) -> None:
        assert self.state == "new"
        if self._world.failing_starts:
            self._world.failing_starts -= 1
            raise OSError("no processes left")
        self.state = "starting"
        if self._world.stillborn:
            self._world.stillborn -= 1
            self._world.at(0.05, lambda: self._die(1))
        else:
            self._world.at(0.05, self._come_up)

    def drain(self) -> None:
        self.drained_at = self._world.now
        self._world.at(0.001, self._exit_if_drained)

    def kill(self) -> None:
        self._die(-9)

    def kill_if(self, condition: Callable[[], bool]) -> bool:
        if self.is_there and condition():
            self.kill()
        return not self.is_there

    def kill_for_violation(self, activity: object, violation: Any) -> bool:
        def is_guilty() -> bool:
            if self.notes.activity != activity:
                return False
            self.violation = violation
            return True

        return self.kill_if(is_guilty)

    def resume(self) -> None:
        """It is never stopped."""

    def terminate(self) -> None:
        self._die(-15)

    def has_exited(self) -> bool:
        return self.state in ("dead", "reaped")

    def wait_for_exit(self, seconds: float) -> None:
        self._world.pass_until(self._world.now + seconds, self.has_exited)

    def wait(self) -> None:
        assert self.has_exited(), "the engine waits for workers that exited or were killed"

    def reap(self) -> tuple[ExitReport, Death]:
        assert self.state == "dead", "a worker is reaped once"
        self.state = "reaped"
        notes = self.notes
        report = ExitReport(
            begun=notes.begun,
            loading=notes.loading,
            receiving=notes.receiving,
            since_ns=notes.since_ns,
            ended_ns=int(self._world.now * 1e9),
            exit_code=self._exit_code,
            violates_limit=self.violation is not None,
        )
        return report, Death.of(self._exit_code, "", ())

    def end(self) -> None:
        if self.state != "reaped":
            self._die(-9)
            self.state = "reaped"

    def abandon(self) -> None:
        raise AssertionError("nothing forks here")

    def queue_definitions(self, tasks: int, *manifests: object) -> None:
        """Nothing is needed: the scripts are here."""

    def queue_setup(self, payload: bytes, large: object = None) -> None:
        self._check_writable()

    def queue_batch(self, size: int, payload: bytes) -> bool:
        self._check_writable()
        tasks = pickle.loads(payload)
        assert len(tasks) == size
        serials = range(self.sent + 1, self.sent + 1 + size)
        self.sent += size
        self._permits.extend(serials)
        self._queue.append((serials, [self._scripts[task] for task in tasks]))
        return True

    def _check_writable(self) -> None:
        assert not self.drained_at, "nothing is sent to a lane that is drained"
        if self.state == "reaped":
            raise AssertionError("a lane that was reaped is used")

    @property
    def outbox(self) -> list[str]:
        return ["the rest"] if self.blocked else []

    def flush(self) -> bool:
        if self.has_exited():
            raise BrokenPipeError
        if self.blocked:
            # The pipe takes the rest a moment later.
            self.blocked = False
            return False
        self._world.at(0.0001, self._go_on)
        return True

    def revoke(self, most: int = 1 << 13) -> tuple[int, ...]:
        return tuple(self._permits.popleft() for _ in range(min(most, len(self._permits))))

    def receive(self) -> list[Any] | None:
        self.has_spoken = True
        if self._written:
            return self._reader.feed(self._written.popleft())
        if self.has_exited():
            raise EOFError
        return None

    def receive_large_value(self, serial: int, layout: bytes) -> Any:
        raise AssertionError("scripts return nothing large")

    def output(self) -> None:
        return None

    def clear_side(self) -> None:
        """Nothing came over it."""

    def is_at_rest(self, answered: int) -> bool:
        return not (self._is_busy or self._queue or self.notes.begun > answered)

    @property
    def has_unread(self) -> bool:
        return bool(self._queue)

    # The worker

    def can_be_read(self) -> bool:
        return bool(self._written) or self.has_exited()

    def _come_up(self) -> None:
        if self.state == "starting":
            self.state = "running"
            self._written.append(pack_answer(Answer.READY))
            self._go_on()

    def _die(self, exit_code: int) -> None:
        if self.is_there:
            self.state, self._exit_code = "dead", exit_code

    def _exit_if_drained(self) -> None:
        if self.state == "running" and self.drained_at and not (self._is_busy or self._queue):
            self.state, self._exit_code = "dead", 0

    def _go_on(self) -> None:
        """Take the next batch, or the next task of this one."""
        if self.state != "running" or self._is_busy:
            return
        while self._batch:
            serial, script = self._batch.popleft()
            if self._permits and self._permits[0] == serial:
                self._permits.popleft()
                self._begin(serial, script)
                return
        if not self._queue:
            self.notes.since_ns = 0
            self._exit_if_drained()
            return
        serials, scripts = self._queue.popleft()
        if not any(serial in serials for serial in self._permits):
            self._written.append(pack_answer(Answer.SKIPPED, serials[-1]))
            self._world.at(0.0, self._go_on)
            return
        self.notes.since_ns = self._now_ns()
        if any(script.loads == "dies" for script in scripts):
            self.notes.loading = serials[-1]
            self._die(-11)
            return
        if any(script.loads == "fails" for script in scripts):
            for serial in serials:
                if serial in self._permits:
                    self._permits.remove(serial)
            text = pickle.dumps(("no such module", "ImportError", ""))
            self._written.append(pack_answer(Answer.UNLOADABLE, serials[-1], text))
            self._world.at(0.0, self._go_on)
            return
        self._batch.extend(zip(serials, scripts, strict=True))
        self._last = serials[-1]
        self._go_on()

    def _now_ns(self) -> int:
        return int(self._world.now * 1e9)

    def _begin(self, serial: int, script: Script) -> None:
        script.started += 1
        self._is_busy = True
        self.notes.begun, self.notes.since_ns = serial, self._now_ns()
        if script.ends == "hangs":
            return
        if script.ends == "dies":
            self._world.at(script.seconds, lambda: self._die(-11))
            return
        self._world.at(script.seconds, lambda: self._finish(serial, script))

    def _finish(self, serial: int, script: Script) -> None:
        if self.state != "running":
            return
        self._is_busy = False
        ending, payload = Ending.VALUE, NONE
        if script.ends == "raises":
            ending, payload = Ending.ERROR, pickle.dumps(("wrong", "ValueError", ""))
        ran_ns = int(script.seconds * 1e9)
        parts = ran_parts(self.notes.since_ns, ran_ns, ending, payload)
        self._written.append(pack_ran(serial, 1, parts))
        self.notes.since_ns = 0
        left = range(serial + 1, self._last + 1)
        if not any(other in left for other in self._permits):
            if serial != self._last:
                self._written.append(pack_answer(Answer.SKIPPED, self._last))
            self._batch.clear()
        self._go_on()


class FakePoller:
    """Polls lanes of a `FakeWorld`: waiting is what lets its time pass."""

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self.lanes: dict[int, tuple[Any, FakeLane]] = {}
        self.doorbells: list[int] = []
        self.blind: set[Any] = set()
        self.write_blocked: set[FakeLane] = set()

    def add(self, lane: FakeLane) -> None:
        self.lanes[lane.answers] = "answers", lane
        self.add_exit(lane)

    def add_exit(self, lane: FakeLane) -> None:
        assert lane.exit is not None
        self.lanes[lane.exit] = "exit", lane

    def add_side(self, lane: FakeLane) -> None:
        """Nothing comes over side channels here."""

    remove_side = add_side

    def add_write_blocked(self, lane: FakeLane) -> None:
        self.write_blocked.add(lane)
        self.lanes[lane.commands] = "commands", lane

    def remove_write_blocked(self, lane: FakeLane) -> None:
        self.write_blocked.discard(lane)
        self.lanes.pop(lane.commands, None)

    def remove_answers(self, lane: FakeLane) -> None:
        self.lanes.pop(lane.answers, None)

    def remove(self, lane: FakeLane) -> None:
        self.remove_write_blocked(lane)
        self.remove_answers(lane)
        self.lanes.pop(lane.exit or -1, None)

    def add_doorbell(self, descriptor: int) -> None:
        self.doorbells.append(descriptor)

    def _ready(self) -> list[tuple[int, int]]:
        found = []
        for descriptor, (what, lane) in self.lanes.items():
            if (
                what == "commands"
                or (what == "answers" and lane.can_be_read())
                or (what == "exit" and lane.has_exited())
            ):
                found.append((descriptor, 1))
        return found

    def wait(self, seconds: float, *, spin: bool) -> list[tuple[int, int]]:
        assert seconds < 3000, "a run must not wait forever"
        self._world.pass_until(self._world.now + seconds, lambda: bool(self._ready()))
        return self._ready()


class ScriptSource(TaskSource):
    """Scripts as the tasks of a run; `chunk` of them come at a time, if it is not 0."""

    item_is, common_is = "script", "input"

    def __init__(self, scripts: list[Script], chunk: int = 0) -> None:
        self.scripts = scripts
        self.manifests = ()
        self.is_lazy = bool(chunk)
        self._chunk = chunk
        self.exhausted = not chunk
        self.pulled = 0 if chunk else len(scripts)
        self.settled: list[int] = []

    @property
    def has_more(self) -> bool:
        return not self.exhausted

    def pull(self, count: int) -> int:
        taken = min(count, self._chunk, len(self.scripts) - self.pulled)
        self.pulled += taken
        self.exhausted = self.pulled == len(self.scripts)
        return taken

    def stop(self) -> None:
        self.exhausted = True

    def settle(self, tasks: Iterable[int]) -> list[str]:
        tasks = list(tasks)
        self.settled += tasks
        return [self.name(task) for task in tasks]

    def name(self, task: int) -> str:
        return f"script {task}"

    def setup(self, buffers: Any) -> tuple[RunSetup, Any]:
        return RunSetup(INPUT, b""), ()

    def pickle(self, tasks: list[int]) -> Batch:
        if any(self.scripts[task].loads == "unpicklable" for task in tasks):
            raise TypeError("cannot be pickled")
        return Batch(len(tasks), pickle.dumps(tasks))
