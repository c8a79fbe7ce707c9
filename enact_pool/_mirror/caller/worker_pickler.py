"""The pickler of a worker's own classes, closures, and what plain pickle refuses."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from types import FunctionType
from typing import Any

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.parts import parts_of
from enact_pool._mirror.caller.pickler import ByValuePickler
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.rebuild.classes import finish_class, received_class
from enact_pool._mirror.rebuild.references import function_of
from enact_pool._mirror.registry import member, resolve

__all__ = ["WorkerPickler"]


class WorkerPickler(ByValuePickler):
    """Refers by key to what the caller has sent; the caller makes a copy of everything else.

    Args:
        file: receives the pickle.
        buffer_callback: is called with each buffer that travels out of band.
        key_of: Return the caller's key of an object; None if the caller has not sent it.
    """

    def __init__(
        self,
        file: BytesIO,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None,
        key_of: Callable[[Any], str | None],
    ) -> None:
        super().__init__(file, buffer_callback)
        self._key_of = key_of

    def refer(self, definition: Definition) -> Any:
        """Refer to a definition by the caller's key, or pickle how to make it."""
        # The worker may have made a key for the class before it received the caller's.
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
        """Refer to a function of a class, which the caller may have to make first."""
        key = self._key_of(definition.value)
        if key is not None:
            return member, (key, name)
        if scopes.scope_of(function.__globals__) is None or definitions.known(function) is not None:
            # The caller sets it as an attribute when the class exists.
            return self.function_by_value(function)
        return function_of, (definition.value, name)
