"""Captured output of callables, kept until their results exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enact_pool._model.results import ParallelResult

__all__ = ["CapturedOutput"]


class CapturedOutput:
    """Adds what callables print to their results."""

    def __init__(self) -> None:
        self._received: dict[int, tuple[bytes, bytes]] = {}

    def output_received(self, task: int, output: tuple[bytes, bytes]) -> None:
        """Keep the output of a task; only the first output counts."""
        self._received.setdefault(task, output)

    def tasks_settled(
        self,
        tasks: Sequence[int],
        names: Sequence[str],
        results: Sequence[ParallelResult[Any]],
        texts: Mapping[int, str],
    ) -> None:
        """Add the output to the results."""
        if self._received:
            for task, result in zip(tasks, results, strict=True):
                result._captured = self._received.pop(task, None)
