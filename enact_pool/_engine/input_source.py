"""One function over many inputs.

An input is pickled when it is taken, unless it is immutable: the iterable may change it afterwards.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

from enact_pool._engine.sources import IterableSource, kind_of
from enact_pool._engine.task_source import Batch
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import (
    Buffers,
    InputPickler,
    PickledInput,
    pickle_function,
)
from enact_pool._python.callables import check_callable, name_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._wire.frames import SHAREABLE
from enact_pool._wire.setup import FUNCTION, RunSetup

__all__ = ["InputSource"]


class InputSource(IterableSource):
    """One function over many inputs."""

    item_is, common_is = "input", "function"

    def __init__(self, function: Any, inputs: Iterable[Any]) -> None:
        super().__init__(inputs)
        check_callable(function, "function")
        self._function = function
        self._name = name_of(function)
        self.workload_key = frozenset((kind_of(function),))
        self._pickler = InputPickler()

    def _kept(self, item: Any) -> Any:
        if type(item) in SHAREABLE:
            return item
        try:
            kept = self._pickler.pickle(item)
        except BaseException as error:
            raise_interrupt(error)
            return item  # it is tried again when its turn comes, and refused then
        self._unsent_bytes += len(kept.pickled)
        return kept

    def _names(self, items: list[Any]) -> list[str]:
        return [self._name] * len(items)

    def setup(self, buffers: Buffers) -> tuple[RunSetup, Manifest]:
        needs = Needs()
        pickled = pickle_function(self._function, needs, buffers)
        return RunSetup(FUNCTION, pickled), self.manifest(needs)

    def pickle(self, tasks: list[int]) -> Batch:
        inputs, needs = [self._items[task] for task in tasks], Needs()
        are_plain = SHAREABLE.issuperset(map(type, inputs))
        if not are_plain:
            inputs = [self._pickled(item, needs) for item in inputs]
        pickled = pickle.dumps((are_plain, inputs), pickle.HIGHEST_PROTOCOL)
        return Batch(len(tasks), pickled, (*self.manifests, self.manifest(needs)))

    def _pickled(self, item: Any, needs: Needs) -> bytes:
        """Return the pickle of an input, and add what it needs."""
        kept = item if type(item) is PickledInput else self._pickler.pickle(item)
        if kept is item and not kept.is_sent:
            kept.is_sent = True
            self._unsent_bytes -= len(kept.pickled)
        needs.add(kept.needs)
        return kept.pickled
