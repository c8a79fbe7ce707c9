"""What a worker has of its caller's definitions and globals.

A frame of operations is received before the batch that needs them. Their pickles are loaded when
they are needed: an object when something refers to it, its state when all that the state refers
to can be found. So operations may be in any order, and definitions may refer to each other.

    scope      a module of the caller's that workers cannot import
    object     how a definition is made
    state      what a definition refers to
    broken     a definition could not be sent, for this reason
    release    the caller does not need a definition any more
    bind       a global is bound to this definition
    set        a global has this plain value
    import     a global is imported from this module, under the same name
    absent     a global could not be sent, for this reason
    unbind     the caller has deleted a global
    change     the caller has set or deleted an attribute of a definition
    lack       an attribute could not be sent, for this reason
    wake       a definition that was received before is needed now
    source     the source lines of code that is in no file
    context    the caller's context variables
"""

from __future__ import annotations

import pickle

from enact_pool._mirror.registry import registry
from enact_pool._mirror.worker.definitions import Definitions
from enact_pool._mirror.worker.failures import Failures, exit_if_forked
from enact_pool._mirror.worker.operations import load_content
from enact_pool._mirror.worker.scope_globals import DATA_KINDS, ScopeGlobals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context
    from typing import Any

    from enact_pool._mirror.worker.operations import Operation

__all__ = ["Copies"]


class Copies:
    """The caller's definitions, globals and context variables in this process."""

    def __init__(self) -> None:
        # The kinds of definitions, by key.
        self._kinds: dict[str, str] = {}
        self._failures = Failures()
        self._globals = ScopeGlobals(self._kinds, self._failures)
        definitions = Definitions(self._kinds, self._globals, self._failures)
        # The caller's context variables, for callables to run in; None if it has set none.
        self.context: Context | None = None
        self.key_of = definitions.key_of
        self.explain = self._failures.explain
        registry.load = definitions.load
        registry.complete = definitions.complete
        registry.find = self._globals.find
        self._appliers: dict[str, Callable[[Any, Any], Callable[[], object] | None]] = {
            "scope": self._globals.add_scope,
            "bind": self._globals.bind,
            "set": self._globals.set_value,
            "import": self._globals.import_from,
            "absent": self._globals.note_missing,
            "unbind": self._globals.delete,
            "object": definitions.add,
            "state": definitions.set_state,
            "broken": definitions.note_broken,
            "release": definitions.release,
            "change": definitions.change,
            "lack": definitions.delete_unsendable,
            "wake": definitions.wake,
            "source": _add_source,
            "context": self._set_context,
        }

    @property
    def is_empty(self) -> bool:
        """Whether no definition was received."""
        return not self._kinds

    def apply(self, operations: Iterable[Operation]) -> None:
        """Receive operations, and complete those that callables need now."""
        urgent: list[tuple[str, tuple[Any, ...], Callable[[], object]]] = []
        for kind, arguments, content, now in operations:
            step = self._appliers[kind](arguments, content)
            if step is None:
                continue
            if now:
                urgent.append((kind, arguments, step))
            elif kind == "set" or kind == "import":
                self._globals.defer(arguments[0], arguments[1], step)
        # Making an instance may use any other global.
        for _, _, step in sorted(urgent, key=self._order_of):
            step()
        self._failures.retry()

    def _order_of(self, step: tuple[str, tuple[Any, ...], object]) -> int:
        """Plain values come first, then functions and classes, then what these refer to."""
        kind, arguments, _ = step
        if kind == "import" or (kind == "set" and not arguments[2]):
            return 0
        if kind == "bind":
            return 3 if self._kinds.get(arguments[2]) in DATA_KINDS else 1
        if kind in ("object", "state", "change", "wake"):
            return 3 if self._kinds.get(arguments[0]) in DATA_KINDS else 2
        return 3

    def _set_context(self, arguments: tuple[()], content: Any) -> Callable[[], object]:
        def set_variables() -> None:
            import contextvars

            pickles = load_content(content)
            context = contextvars.copy_context()
            for pickled in pickles:
                try:
                    variable, value = load_content(pickled)
                except BaseException:
                    exit_if_forked()
                    continue  # documented: the variable has its default
                context.run(variable.set, value)
            self.context = context if pickles else None

        return set_variables


def _add_source(arguments: tuple[str], content: bytes) -> None:
    import linecache

    lines = pickle.loads(content)
    linecache.cache[arguments[0]] = sum(map(len, lines)), None, lines, arguments[0]
