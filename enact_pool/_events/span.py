"""`Span`: where and when a callable ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from attrs import asdict, frozen

from enact_pool._model.field_readers import (
    Reader,
    one_of,
    or_none,
    read_fields,
    read_integer,
    read_number,
    read_text,
)
from enact_pool._model.ids import ExecutionId
from enact_pool._model.results import Outcome
from enact_pool._python.public_names import public

__all__ = ["Span"]


@public
@frozen
class Span:
    """Where and when a callable ran, and its outcome. The events of live emitters have one.

    Attributes:
        run_id: The execution id of the run, as in its `ExecutionStart`.
        index: The place of the callable in the run, from 0.
        name: The name of the callable.
        lane: The number of the lane in which the callable ran, from 0; a worker that replaces a
            dead worker is in the same lane. None: the callable never started.
        worker_pid: The process id of its worker. None: it never started.
        queued_at: When the run received the callable, in milliseconds since the epoch.
        started_at: When the callable started, likewise, by its worker. None: it never started.
        finished_at: When the callable ended, likewise, by its worker; or when the parent noticed
            that the worker had died. None: it has not ended.
        outcome: "ok"; "failed": it raised (see `traceback`); "crashed": its worker died, or was
            killed for a limit violation; "cancelled". None: it has not ended.
        traceback: The worker's traceback of a callable that failed; empty if there is none.
    """

    run_id: ExecutionId
    index: int
    name: str
    lane: int | None
    worker_pid: int | None
    queued_at: float
    started_at: float | None
    finished_at: float | None
    outcome: Outcome | None = None
    traceback: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as JSON-able values."""
        return asdict(self, recurse=False)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Span:
        """Return the span whose `to_dict` is given; raises `ValueError` for anything else."""
        return cls(**read_fields("a span", mapping, _READERS))


_READERS: dict[str, Reader] = {
    "run_id": ExecutionId.read,
    "index": read_integer,
    "name": read_text,
    "lane": or_none(read_integer),
    "worker_pid": or_none(read_integer),
    "queued_at": read_number,
    "started_at": or_none(read_number),
    "finished_at": or_none(read_number),
    "outcome": or_none(one_of(*get_args(Outcome))),
    "traceback": read_text,
}
