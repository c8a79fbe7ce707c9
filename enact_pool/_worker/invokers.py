"""What the callables of a run have in common, as its workers know it: an input or a function.

It comes once to each worker, as a pickle. An input is rebuilt for each callable,
so that each has its own copy, and a function once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from types import FunctionType

from enact_pool._python.callables import entry_point
from enact_pool._python.loading import load as _loads
from enact_pool._python.loading import loading
from enact_pool._wire.closures import reunited
from enact_pool._wire.setup import CALLS, FUNCTION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    # It takes long to import, and is rarely needed.
    from enact_pool._ipc.large_value import LargeValue
    from enact_pool._wire.setup import RunSetup

__all__ = ["Invoker", "invoker_of", "run_coroutine", "run_to_the_end"]


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns; raises what it raises. All of a process share one loop."""
    from enact_pool._worker.coroutines import run  # the largest import of all, and rarely needed

    return run(coroutine)


class Invoker:
    """How to get from an item of a batch to what is called, and what it is given.

    All of this runs code of the user's, and may raise anything.
    """

    # What to say before an exception that comes from `called`.
    rebuilding = ""
    # The payload of the setup, if it is large.
    large: LargeValue | None = None

    def close(self) -> None:
        """Let go of it."""
        if self.large is not None:
            self.large.close()

    def items(self, payload: bytes) -> list[Any]:
        """The items of a batch."""
        raise NotImplementedError

    def has_to_load(self, item: Any) -> bool:
        """Whether what the callable is given has to be unpickled, which may take long."""
        raise NotImplementedError

    def given(self, item: Any) -> Any:
        """What the callable is given: its own copy."""
        raise NotImplementedError

    def called(self, item: Any) -> Any:
        """What to call with it."""
        raise NotImplementedError


class _Input(Invoker):
    """An input for many callables."""

    def __init__(self, load: Callable[[], Any], shared: bool) -> None:
        self._load = load
        self._shared = shared
        self._has_value = False
        self._value: Any = None

    def items(self, payload: bytes) -> list[Any]:
        return reunited(*_loads(payload))

    def has_to_load(self, item: Any) -> bool:
        return not self._has_value

    def given(self, item: Any) -> Any:
        if not self._shared:
            return self._load()
        if not self._has_value:
            self._value, self._has_value = self._load(), True
        return self._value

    def called(self, item: Any) -> Any:
        if type(item) is FunctionType:
            return item
        run = entry_point(item)
        if run is None:
            raise TypeError(f"{item!r} is no callable in the worker")
        return run


class _Function(Invoker):
    """A function for many inputs."""

    rebuilding = "the function cannot be rebuilt in the worker: "

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._run: Any = None
        self._failure: BaseException | None = None
        self._plain = True

    def items(self, payload: bytes) -> list[Any]:
        if self._run is None and self._failure is None:
            # Here, where what it imports is not yet a callable's time.
            try:
                self._run = self._rebuilt()
            except BaseException as error:
                self._failure = error
        self._plain, items = _loads(payload)
        return items  # type: ignore[no-any-return]

    def _rebuilt(self) -> Any:
        function = self._load()
        run = entry_point(function)
        if run is None:
            raise TypeError(f"{function!r} is no callable in the worker")
        return run

    def has_to_load(self, item: Any) -> bool:
        return not self._plain

    def given(self, item: Any) -> Any:
        return item if self._plain else _loads(item)

    def called(self, item: Any) -> Any:
        if self._failure is not None:
            raise self._failure
        return self._run


class _Wrapped(Invoker):
    """Either, with call wrappers around each call: see `ExecutionStart.wrap_calls`."""

    def __init__(self, inner: Invoker, wrappers: Sequence[bytes]) -> None:
        self._inner = inner
        self._pickled = wrappers
        self._wrappers: list[Any] | None = None
        self.rebuilding = inner.rebuilding

    def close(self) -> None:
        self._inner.close()

    def items(self, payload: bytes) -> list[Any]:
        if self._wrappers is None:
            # Here, where what they import is not yet a callable's time.
            self._wrappers = [_loads(pickled) for pickled in self._pickled]
        tasks, inner_payload = _loads(payload)
        return list(zip(tasks, self._inner.items(inner_payload), strict=True))

    def has_to_load(self, item: Any) -> bool:
        return self._inner.has_to_load(item[1])

    def given(self, item: Any) -> Any:
        return self._inner.given(item[1])

    def called(self, item: Any) -> Any:
        run = partial(run_to_the_end, self._inner.called(item[1]))
        for wrapper in reversed(self._wrappers or ()):
            run = partial(_run_within, wrapper, item[0], run)
        return run


def _run_within(wrapper: Any, index: int, run: Callable[[Any], Any], given: Any) -> Any:
    return wrapper(index, partial(run, given))


def run_to_the_end(run: Callable[[Any], Any], given: Any) -> Any:
    """Call it, and await a coroutine: what is wrapped is the whole of it."""
    value = run(given)
    if hasattr(type(value), "__await__") and isinstance(value, Coroutine):
        return run_coroutine(value)
    return value


class _Calls(Invoker):
    """Nothing: each call has its own function, and arguments that may still be pickled."""

    def items(self, payload: bytes) -> list[Any]:
        functions, items = _loads(payload)
        loaded = [_loads(function) for function in functions]
        return [(loaded[number], given) for number, given in items]

    def has_to_load(self, item: Any) -> bool:
        return type(item[1]) is not tuple

    def given(self, item: Any) -> Any:
        given = item[1]
        return given if type(given) is tuple else _loads(given)

    def called(self, item: Any) -> Any:
        function = item[0]

        def call(given: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
            args, kwargs = given
            return function(*args, **kwargs)

        return call


def invoker_of(setup: RunSetup, large: LargeValue | None) -> Invoker:
    """Return how to call the items of batches. `large` is the payload, if it is a large value."""
    load = partial(_loads, setup.payload) if large is None else partial(loading, large.rebuild)
    invoker: Invoker
    if setup.mode == CALLS:
        invoker = _Calls()
    elif setup.mode == FUNCTION:
        invoker = _Function(load)
    else:
        invoker = _Input(load, setup.is_shared)
    invoker.large = large
    return _Wrapped(invoker, setup.wrappers) if setup.wrappers else invoker
