"""The pickler for what a worker has made itself: classes, closures, what plain pickle refuses."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from types import FunctionType
from typing import Any

from enact_pool._mirror.caller.parts import parts_of
from enact_pool._mirror.caller.pickler import ByValuePickler
from enact_pool._mirror.caller.scopes import Definition, scopes
from enact_pool._mirror.rebuild.classes import finish_class, received_class
from enact_pool._mirror.rebuild.references import function_of
from enact_pool._mirror.registry import member, resolve

__all__ = ["WorkerPickler"]


class WorkerPickler(ByValuePickler):
    """Names what came from the caller; the caller makes a copy of everything else."""

    def __init__(
        self,
        file: BytesIO,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None,
        key_of: Callable[[Any], str | None],
    ) -> None:
        super().__init__(file, buffer_callback)
        self._key_of = key_of

    def refer(self, definition: Definition) -> Any:
        """Refer to a definition by its key, or say how to make it."""
        # The worker may have given the class a key before the caller's came.
        key = self._key_of(definition.value)
        if key is not None:
            return resolve, (key,)
        maker, arguments, setter, state = parts_of(self, definition)
        if issubclass(type(definition.value), type):
            made = received_class, (definition.key, maker, arguments)
            if setter is None:
                return made
            return *made, (setter, state), None, None, finish_class
        if setter is None:
            return maker, arguments
        return maker, arguments, state, None, None, setter

    def refer_to_member(self, function: FunctionType, definition: Definition, name: str) -> Any:
        """Refer to a function of a class, which may have to be made first."""
        key = self._key_of(definition.value)
        if key is not None:
            return member, (key, name)
        if scopes.scope_of(function.__globals__) is None or scopes.known(function) is not None:
            # One of the attributes that the class gets when it is there.
            return self.function_by_value(function)
        return function_of, (definition.value, name)
