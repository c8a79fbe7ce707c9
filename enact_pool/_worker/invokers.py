"""Invokers: how a worker gets from an item of a batch to the callable and its argument.

A worker receives the input or the function of a run once, as a pickle. An input is
rebuilt for each callable, so that each has its own copy, and a function once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from types import FunctionType

from enact_pool._python.callables import entry_point
from enact_pool._python.loading import load as _loads
from enact_pool._python.loading import loading
from enact_pool._wire.closures import join_closures
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
    """Return what a coroutine returns, or raise what it raises. A process has one event loop."""
    from enact_pool._worker.coroutines import run  # the slowest import of all, and rarely needed

    return run(coroutine)


class Invoker:
    """Returns what to call for an item of a batch, and the argument.

    All methods but `close` run the user's code, and may raise anything.

    Attributes:
        stage: The start of the error if `callable_of` fails.
        large: The payload of the setup, if that is a large value.
    """

    stage = ""
    large: LargeValue | None = None

    def close(self) -> None:
        """Release the payload."""
        if self.large is not None:
            self.large.close()

    def items(self, payload: bytes) -> list[Any]:
        """Return the items of a batch."""
        raise NotImplementedError

    def must_load(self, item: Any) -> bool:
        """Return whether the argument must be unpickled, which may take long."""
        raise NotImplementedError

    def argument_of(self, item: Any) -> Any:
        """Return the callable's own copy of its argument."""
        raise NotImplementedError

    def callable_of(self, item: Any) -> Any:
        """Return what to call with the argument."""
        raise NotImplementedError


class _InputInvoker(Invoker):
    """Calls many callables with one input."""

    def __init__(self, load: Callable[[], Any], shared: bool) -> None:
        self._load = load
        self._shared = shared
        self._has_value = False
        self._value: Any = None

    def items(self, payload: bytes) -> list[Any]:
        return join_closures(*_loads(payload))

    def must_load(self, item: Any) -> bool:
        return not self._has_value

    def argument_of(self, item: Any) -> Any:
        if not self._shared:
            return self._load()
        if not self._has_value:
            self._value, self._has_value = self._load(), True
        return self._value

    def callable_of(self, item: Any) -> Any:
        return item if type(item) is FunctionType else _checked_entry_point(item)


class _FunctionInvoker(Invoker):
    """Calls one function with many inputs."""

    stage = "the function cannot be rebuilt in the worker: "

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._run: Any = None
        self._failure: BaseException | None = None
        self._is_plain = True

    def items(self, payload: bytes) -> list[Any]:
        if self._run is None and self._failure is None:
            # Rebuild it here, where the time of its imports is not yet a callable's time.
            try:
                self._run = _checked_entry_point(self._load())
            except BaseException as error:
                self._failure = error
        self._is_plain, items = _loads(payload)
        return items  # type: ignore[no-any-return]

    def must_load(self, item: Any) -> bool:
        return not self._is_plain

    def argument_of(self, item: Any) -> Any:
        return item if self._is_plain else _loads(item)

    def callable_of(self, item: Any) -> Any:
        if self._failure is not None:
            raise self._failure
        return self._run


def _checked_entry_point(candidate: Any) -> Callable[[Any], Any]:
    run = entry_point(candidate)
    if run is None:
        raise TypeError(f"{candidate!r} is not callable in the worker")
    return run


class _WrappingInvoker(Invoker):
    """Puts call wrappers around each call of another invoker: see `ExecutionStart.wrap_calls`."""

    def __init__(self, inner: Invoker, wrappers: Sequence[bytes]) -> None:
        self._inner = inner
        self._pickled = wrappers
        self._wrappers: list[Any] | None = None
        self.stage = inner.stage

    def close(self) -> None:
        self._inner.close()

    def items(self, payload: bytes) -> list[Any]:
        if self._wrappers is None:
            # Load them here, where the time of their imports is not yet a callable's time.
            self._wrappers = [_loads(pickled) for pickled in self._pickled]
        tasks, inner_payload = _loads(payload)
        return list(zip(tasks, self._inner.items(inner_payload), strict=True))

    def must_load(self, item: Any) -> bool:
        return self._inner.must_load(item[1])

    def argument_of(self, item: Any) -> Any:
        return self._inner.argument_of(item[1])

    def callable_of(self, item: Any) -> Any:
        run = partial(run_to_the_end, self._inner.callable_of(item[1]))
        for wrapper in reversed(self._wrappers or ()):
            run = partial(_run_within, wrapper, item[0], run)
        return run


def _run_within(wrapper: Any, index: int, run: Callable[[Any], Any], argument: Any) -> Any:
    return wrapper(index, partial(run, argument))


def run_to_the_end(run: Callable[[Any], Any], argument: Any) -> Any:
    """Call it, and run a coroutine that it returns: a wrapper wraps both."""
    value = run(argument)
    if hasattr(type(value), "__await__") and isinstance(value, Coroutine):
        return run_coroutine(value)
    return value


class _CallInvoker(Invoker):
    """Makes calls that each have their own function, and arguments that may still be pickled."""

    def items(self, payload: bytes) -> list[Any]:
        functions, items = _loads(payload)
        loaded = [_loads(function) for function in functions]
        return [(loaded[number], arguments) for number, arguments in items]

    def must_load(self, item: Any) -> bool:
        return type(item[1]) is not tuple

    def argument_of(self, item: Any) -> Any:
        arguments = item[1]
        return arguments if type(arguments) is tuple else _loads(arguments)

    def callable_of(self, item: Any) -> Any:
        function = item[0]

        def call(arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
            args, kwargs = arguments
            return function(*args, **kwargs)

        return call


def invoker_of(setup: RunSetup, large: LargeValue | None) -> Invoker:
    """Return the invoker of a run. `large` is the payload, if it is a large value."""
    load = partial(_loads, setup.payload) if large is None else partial(loading, large.rebuild)
    invoker: Invoker
    if setup.mode == CALLS:
        invoker = _CallInvoker()
    elif setup.mode == FUNCTION:
        invoker = _FunctionInvoker(load)
    else:
        invoker = _InputInvoker(load, setup.is_shared)
    invoker.large = large
    return _WrappingInvoker(invoker, setup.wrappers) if setup.wrappers else invoker
