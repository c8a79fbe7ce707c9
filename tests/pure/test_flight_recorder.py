"""The status that the words of a flight recorder describe, without a worker."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enact_pool._ipc import flight_recorder
from enact_pool._ipc.flight_recorder import FlightRecorder

STATUSES = {
    "EXPIRED",
    "FLUSHING",
    "PREPARING",
    "LOADING",
    "RUNNING",
    "BETWEEN",
    "RECEIVING",
    "RESTING",
}


def new_recorder() -> FlightRecorder:
    return FlightRecorder(memoryview(bytearray(flight_recorder._SIZE)), lambda: None)


def documented_transitions() -> dict[str, set[str]]:
    """Return the table of transitions in the module's docstring."""
    table = (flight_recorder.__doc__ or "").split("What may be next", 1)[1]
    transitions = {}
    for status, following in re.findall(r"^    ([A-Z]+) +(.+)$", table, re.MULTILINE):
        if following.startswith("any but "):
            transitions[status] = STATUSES - {following.removeprefix("any but ")}
        else:
            transitions[status] = set(following.split()) - {"none"}
    return transitions


def test_each_record_determines_the_status() -> None:
    recorder = new_recorder()
    steps: list[tuple[Any, tuple[Any, ...], str, Any]] = [
        (recorder.record_preparing, (True,), "PREPARING", None),
        (recorder.record_preparing, (False,), "RESTING", None),
        (recorder.record_receiving, (2,), "RECEIVING", None),
        (recorder.record_receiving, (0,), "RESTING", None),
        (recorder.record_loading, (2, 10), "LOADING", (0, 2, 10)),
        (recorder.record_loading, (0, 20), "BETWEEN", None),
        (recorder.record_begun, (1, 30), "RUNNING", (1, 0, 30)),
        (recorder.journal.add, (1, 1, 30, 5, b""), "BETWEEN", None),
        (recorder.record_loading, (2, 40), "LOADING", (1, 2, 40)),
        (recorder.record_loading, (0, 50), "BETWEEN", None),
        (recorder.record_begun, (2, 50), "RUNNING", (2, 0, 50)),
        (recorder.record_resting, (), "RESTING", None),
        (recorder.record_flushing, (True,), "FLUSHING", None),
        (recorder.record_flushing, (False,), "RESTING", None),
        (recorder.record_expired, (), "EXPIRED", None),
    ]
    assert recorder.status == "RESTING"
    for record, arguments, status, activity in steps:
        record(*arguments)
        assert (recorder.status, recorder.activity) == (status, activity)


def test_preparing_and_flushing_are_not_the_time_of_the_task_before() -> None:
    recorder = new_recorder()
    recorder.record_begun(1, 10)
    recorder.record_preparing(True)
    assert (recorder.status, recorder.activity) == ("PREPARING", None)
    recorder.record_preparing(False)
    recorder.record_flushing(True)
    assert (recorder.status, recorder.activity) == ("FLUSHING", None)


class Worker:
    """Records what a worker records, and asserts that each transition is documented."""

    def __init__(self, data: st.DataObject) -> None:
        self.recorder = new_recorder()
        self.transitions = documented_transitions()
        assert self.transitions.keys() == STATUSES
        self.data = data
        self.clock = self.serial = 0

    def record(self, name: str, *arguments: Any) -> None:
        self.do(getattr(self.recorder, name), *arguments)

    def do(self, step: Any, *arguments: Any) -> None:
        before = self.recorder.status
        step(*arguments)
        after = self.recorder.status
        assert after == before or after in self.transitions[before]

    def now(self) -> int:
        self.clock += 1
        return self.clock

    def is_drawn(self) -> bool:
        return self.data.draw(st.booleans())

    def wait(self) -> None:
        self.record("record_resting")
        self.record("record_flushing", True)
        self.record("record_flushing", False)

    def receive(self) -> None:
        self.record("record_preparing", True)
        self.record("record_preparing", False)
        self.record("record_receiving", self.data.draw(st.sampled_from((0, self.serial + 1))))

    def load(self, last: int) -> None:
        self.record("record_loading", last, self.now())
        self.record("record_loading", 0, self.now())

    def run_batch(self) -> None:
        if self.is_drawn():
            self.record("record_flushing", True)
            self.record("record_flushing", False)
        count = self.data.draw(st.integers(1, 3))
        self.load(self.serial + count)
        for _ in range(count):
            self.serial += 1
            if self.is_drawn():
                self.load(self.serial)
            begun_ns = self.now()
            self.record("record_begun", self.serial, begun_ns)
            if self.is_drawn():  # it has output to write
                self.record("record_resting")
            self.do(self.recorder.journal.add, self.serial, 1, begun_ns, 1, b"")
            if self.is_drawn():
                self.do(self.recorder.journal.clear)
        self.do(self.recorder.journal.clear)


@given(st.data())
def test_a_worker_makes_only_documented_transitions(data: st.DataObject) -> None:
    worker = Worker(data)
    for step in data.draw(st.lists(st.sampled_from("wrsdb"), max_size=12)):
        if step == "w":
            worker.wait()
        elif step == "r":
            worker.receive()
        elif step == "s":
            worker.record("record_preparing", True)
            worker.record("record_preparing", False)
        elif step == "d":
            worker.load(worker.serial + 1)
        else:
            worker.run_batch()
    worker.wait()
    worker.record("record_expired")
    assert worker.recorder.status == "EXPIRED"
