"""What a worker has of its caller's definitions and globals.

A frame of operations comes before the batch that needs them. Their pickles are loaded when
they are needed: an object when something refers to it, its state when all that the state
refers to can be found. So they may come in any order, and refer to each other.

    scope      a module of the caller's that cannot be imported here
    object     how to make a definition
    state      what it refers to
    broken     a definition could not be sent, for this reason
    bind       a global is this definition
    set        a global has this plain value
    import     a global is what a module has under the same name
    absent     a global could not be sent, for this reason
    unbind     the caller has deleted a global
    change     the caller has set an attribute of a definition, or deleted one
    lack       an attribute could not be sent, for this reason
    wake       what came before is needed now
    source     the lines of what is in no file
    context    the caller's context variables
"""

from __future__ import annotations

import builtins
import io
import os
import pickle
import sys

from enact_pool._mirror.rebuild import change
from enact_pool._mirror.registry import (
    Mirror,
    MissingDefinition,
    note_members,
    registry,
    resolve,
)
from enact_pool._mirror.worker.children import MainSpec
from enact_pool._python.tracebacks import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context
    from typing import Any, NoReturn

    # A pickle, or a function that loads it from where it travelled.
    Content = bytes | Callable[[type[pickle.Unpickler]], Any] | None
    # The kind, its arguments, its content, and whether it has to be complete before
    # anything runs.
    Operation = tuple[str, tuple[Any, ...], Content, bool]

__all__ = ["Copies"]


class Unpickler(pickle.Unpickler):
    """Loads what refers to lists, dicts and sets by their keys."""

    def persistent_load(self, pid: str) -> Any:
        return resolve(pid)


def _load(content: Any) -> Any:
    if type(content) is bytes:
        return Unpickler(io.BytesIO(content)).load()
    return content(Unpickler)


# What holds values only: to make one may take any function or class.
_DATA = frozenset(("container", "value"))
# What results never refer to by its key.
_UNNAMED = frozenset(("container", "value", "cell"))


class Copies:
    """The mirrors of this process, and what they consist of."""

    def __init__(self) -> None:
        # What has come and is not loaded yet, by key.
        self._objects: dict[str, tuple[Any, str, list[str]]] = {}
        self._states: dict[str, tuple[Any, list[str]]] = {}
        self._changes: dict[str, list[tuple[str, Any, list[str]]]] = {}
        # Globals that nobody has asked for yet: by the scope's key, and their names.
        self._unasked: dict[str, dict[str, str]] = {}
        # Likewise, those that are no definitions: to set them may take an import.
        self._deferred: dict[str, dict[str, Callable[[], object]]] = {}
        # Which globals a definition is, and which definition a global is.
        self._names: dict[str, dict[tuple[str, str], None]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._kinds: dict[str, str] = {}
        # Values that are being made.
        self._loading: set[str] = set()
        # What could be made, but not be completed.
        self._incomplete: dict[str, Any] = {}
        # What failed just now, and how to try it again.
        self._failed: dict[str, Callable[[], object]] = {}
        # Why a definition, a global or an attribute is not here.
        self._failures: dict[str, str] = {}
        self._absent: dict[tuple[str, str], str] = {}
        self._lacking: dict[str, dict[str, str]] = {}
        # Globals that could not be sent, and are what the module has that they come from.
        self._imported: dict[tuple[str, str], tuple[str, str]] = {}
        # The caller's context variables, for callables to run in; None if it has set none.
        self.context: Context | None = None
        registry.load = self._load
        registry.complete = self.complete
        registry.find = self._find_unasked

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever sent."""
        return not self._kinds

    def key_of(self, value: Any) -> str | None:
        """Return the key of a definition that came from the caller; None for other objects.

        What is the value of a global here may not be that of the caller's any more.
        """
        key = registry.keys.get(id(value))
        if key is None or self._kinds.get(key, "value") in _UNNAMED:
            return None
        return key

    def apply(self, operations: Iterable[Operation]) -> None:
        """Take what has come; make what has to be complete."""
        urgent: list[tuple[str, tuple[Any, ...], Callable[[], object]]] = []
        for kind, arguments, content, now in operations:
            step = _STEPS[kind](self, arguments, content)
            if step is None:
                continue
            if now:
                urgent.append((kind, arguments, step))
            elif kind == "set" or kind == "import":
                self._deferred[arguments[0]][arguments[1]] = step
        # What makes an instance may use any other global.
        for _, _, step in sorted(urgent, key=self._turn):
            step()
        self._try_again()

    def _turn(self, step: tuple[str, tuple[Any, ...], object]) -> int:
        """Plain values come first, then functions and classes, then what these refer to."""
        kind, arguments, _ = step
        if kind == "import" or (kind == "set" and not arguments[2]):
            return 0
        if kind == "bind":
            return 3 if self._kinds.get(arguments[2]) in _DATA else 1
        if kind in ("object", "state", "change", "wake"):
            return 3 if self._kinds.get(arguments[0]) in _DATA else 2
        return 3

    def _try_again(self) -> None:
        """Make what could not be made: of two values, one may use the other to be made."""
        while self._failed:
            steps, self._failed = self._failed, {}
            for key in steps:
                self._failures.pop(key, None)
            for step in steps.values():
                step()
            if len(self._failed) >= len(steps):
                self._failed = {}

    # Scopes

    def _scope(self, arguments: tuple[Any, ...], content: Any) -> None:
        key, names, attributes = arguments
        module = registry.modules.get(key)
        if module is None:
            module = Mirror(attributes["__name__"])
            contents = module.__dict__
            contents["__builtins__"] = builtins
            registry.modules[key] = module
            registry.namespaces[key] = contents
            registry.keys[id(contents)] = key
            self._unasked[key] = {}
            self._deferred[key] = {}
        for name, value in attributes.items():
            module.__dict__[name] = value
        for name in names:
            if name == "__main__":
                _keep(sys.modules.get(name))
                module.__dict__["__spec__"] = MainSpec(module, self.load_all)
            sys.modules[name] = module

    # Globals

    def _bind(self, arguments: tuple[str, str, str], content: Any) -> Callable[[], object]:
        scope, name, key = arguments
        if self._keys.get((scope, name)) != key:
            self._unbound(scope, name)
            self._keys[scope, name] = key
            self._names.setdefault(key, {})[scope, name] = None
        self._unasked[scope][name] = key
        self._absent.pop((scope, name), None)
        registry.namespaces[scope].pop(name, None)

        def bind() -> None:
            if self._unasked[scope].get(name) != key:
                return
            try:
                if self._kinds.get(key) in _DATA:
                    self.find(scope, name)
                else:
                    self._put(scope, name)  # it is completed when all others are there
            except MissingDefinition:
                return  # whoever needs it is told why

        return bind

    def _put(self, scope: str, name: str) -> Any:
        key = self._unasked[scope][name]
        try:
            value = resolve(key)
        except MissingDefinition as error:
            self._absent[scope, name] = str(error)
            raise
        registry.namespaces[scope][name] = value
        self._unasked[scope].pop(name, None)
        self._absent.pop((scope, name), None)
        return value

    def find(self, scope: str, name: str) -> Any:
        """Return a global that is a definition, complete; from now on it is in its place."""
        key = self._unasked[scope][name]
        # First: it may refer to itself.
        value = self._put(scope, name)
        self.complete(key)
        return value

    def load_all(self) -> None:
        """Put all globals in their places."""
        for deferred in self._deferred.values():
            while deferred:
                deferred.popitem()[1]()
        for scope, names in self._unasked.items():
            for name in list(names):
                try:
                    self.find(scope, name)
                except MissingDefinition:
                    continue  # whoever needs it is told why

    def _find_unasked(self, module: Mirror, name: str) -> Any:
        scope = registry.keys.get(id(module.__dict__), "")
        deferred = self._deferred.get(scope)
        if deferred and (name in deferred or name in self._unasked[scope]):
            # What is found may be a function that refers to these.
            while deferred:
                deferred.popitem()[1]()
        if name in module.__dict__:
            return module.__dict__[name]
        if name in self._unasked.get(scope, ()):
            return self.find(scope, name)
        text = f"module {module.__name__!r} has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=module)

    def _set(self, arguments: tuple[str, str, list[str]], content: Any) -> Callable[[], object]:
        scope, name, _ = arguments
        self._unbound(scope, name)

        def set_global() -> None:
            try:
                registry.namespaces[scope][name] = _load(content)
                self._absent.pop((scope, name), None)
            except BaseException as error:
                _end_if_forked()
                self._absent[scope, name] = f"{name}: {_text(error)}"
                self._failed[f"{scope} {name}"] = set_global

        return set_global

    def _import(self, arguments: tuple[str, str, str, str], content: Any) -> Callable[[], object]:
        scope, name, module, reason = arguments
        self._unbound(scope, name)
        self._imported[scope, name] = module, reason

        def import_global() -> None:
            try:
                __import__(module)
                registry.namespaces[scope][name] = sys.modules[module].__dict__[name]
            except BaseException as error:
                _end_if_forked()
                self._absent[scope, name] = f"{name}: {_text(error)}"

        return import_global

    def _be_absent(self, arguments: tuple[str, str, str], content: Any) -> None:
        scope, name, reason = arguments
        self._unbound(scope, name)
        registry.namespaces[scope].pop(name, None)
        self._absent[scope, name] = reason

    def _unbind(self, arguments: tuple[str, str], content: Any) -> None:
        scope, name = arguments
        self._unbound(scope, name)
        registry.namespaces[scope].pop(name, None)

    def _unbound(self, scope: str, name: str) -> None:
        """The global gets another value: what it was before may not be needed any more."""
        self._absent.pop((scope, name), None)
        self._imported.pop((scope, name), None)
        self._unasked[scope].pop(name, None)
        self._deferred[scope].pop(name, None)
        key = self._keys.pop((scope, name), None)
        if key is not None:
            places = self._names[key]
            del places[scope, name]
            if not places:
                del self._names[key]

    def _release(self, arguments: tuple[str], content: Any) -> None:
        key = arguments[0]
        if self._kinds.get(key) in _UNNAMED:
            registry.discard(key)
            for table in (
                self._objects,
                self._states,
                self._changes,
                self._kinds,
                self._incomplete,
            ):
                table.pop(key, None)
        else:
            registry.release(key)

    # Definitions

    def _object(self, arguments: tuple[str, str, list[str]], content: Any) -> Any:
        key, kind, needed = arguments
        self._failures.pop(key, None)
        self._kinds[key] = kind
        self._objects[key] = content, kind, needed
        known = registry.objects.get(key)
        if known is None:
            return None
        # The value of a global, which the caller has changed: another object.
        registry.discard(key)
        for scope, name in self._names.get(key, ()):
            registry.namespaces[scope].pop(name, None)
            self._unasked[scope][name] = key

        return lambda: self._find_places(key)

    def _break(self, arguments: tuple[str, str], content: Any) -> None:
        key, reason = arguments
        registry.discard(key)
        self._failures[key] = reason

    def _state(self, arguments: tuple[str, list[str]], content: Any) -> Callable[[], object]:
        key, needed = arguments
        self._revive(key)
        self._states[key] = content, needed
        # The worker may have given the name to another object, which the caller did not.
        known = registry.objects.get(key)
        if known is not None:
            for scope, name in self._names.get(key, ()):
                registry.namespaces[scope][name] = known
        return lambda: self._try_to_complete(key)

    def _change(self, arguments: tuple[str, str, list[str]], content: Any) -> Callable[[], object]:
        key, name, needed = arguments
        self._lacking.get(key, {}).pop(name, None)
        self._changes.setdefault(key, []).append((name, content, needed))
        return lambda: self._try_to_complete(key)

    def _take_context(self, arguments: tuple[()], content: Any) -> Callable[[], object]:
        def enter() -> None:
            import contextvars

            values = _load(content)
            self.context = contextvars.copy_context() if values else None
            for variable, value in values:
                assert self.context is not None
                self.context.run(variable.set, value)

        return enter

    def _take_source(self, arguments: tuple[str], content: Any) -> None:
        import linecache

        lines = pickle.loads(content)
        linecache.cache[arguments[0]] = sum(map(len, lines)), None, lines, arguments[0]

    def _wake(self, arguments: tuple[str], content: Any) -> Callable[[], object]:
        key = arguments[0]

        def wake() -> None:
            self._find_places(key)
            self._try_to_complete(key)

        return wake

    def _find_places(self, key: str) -> None:
        """Let the globals that are this definition be it."""
        try:
            for scope, name in list(self._names.get(key, ())):
                if self._unasked[scope].get(name) == key:
                    self.find(scope, name)
        except MissingDefinition:
            return  # whoever needs it is told why

    def _lack(self, arguments: tuple[str, str, str], content: Any) -> Callable[[], object]:
        key, name, reason = arguments
        self._lacking.setdefault(key, {})[name] = reason
        self._changes.setdefault(key, []).append((name, None, []))
        return lambda: self._try_to_complete(key)

    def _load(self, key: str) -> Any:
        """Make an object that has come. Raises `MissingDefinition`."""
        if key in self._failures:
            raise MissingDefinition(self._failures[key])
        if key not in self._objects:
            raise MissingDefinition(f"the definition {key} has not come")
        content, kind, needed = self._objects[key]
        try:
            if kind == "value" and key not in self._loading:
                # To make one of its class, that has to be complete; which may take this
                # very value, as a class attribute.
                self._loading.add(key)
                try:
                    for each in needed:
                        self.complete(each)
                finally:
                    self._loading.discard(key)
                if key in registry.objects:
                    return registry.objects[key]
            self._objects.pop(key, None)
            maker, made_of = _load(content)
            value = maker(*made_of)
            if issubclass(type(value), type):
                note_members(key, value)
        except BaseException as error:
            _end_if_forked()
            self._objects[key] = content, kind, needed
            self._fail(key, error)
        registry.add(key, value)
        return value

    def _reason(self, key: str, error: BaseException) -> str:
        if isinstance(error, MissingDefinition):
            return str(error)
        names = ", ".join(name for _, name in self._names.get(key, ())) or "a definition"
        return f"{names} cannot be rebuilt: {_text(error)}"

    def _try_to_complete(self, key: str) -> None:
        try:
            self.complete(key)
        except MissingDefinition:
            return  # whoever needs it is told why

    def complete(self, key: str) -> None:
        """Set what an object refers to, if that has come. Raises `MissingDefinition`."""
        if key not in self._states and key not in self._changes:
            return
        value = resolve(key)
        try:
            state = self._states.pop(key, None)
            if state is not None:
                content, needed = state
                try:
                    for each in needed:
                        self.complete(each)
                    setter, contents = _load(content)
                    setter(value, contents)
                except BaseException:
                    self._states[key] = state
                    raise
            for name, content, needed in self._changes.pop(key, ()):
                for each in needed:
                    self.complete(each)
                change(value, name, () if content is None else _load(content))
        except BaseException as error:
            _end_if_forked()
            for scope, name in self._names.get(key, ()):
                # Nobody is to have it as it is.
                if registry.namespaces[scope].pop(name, None) is not None:
                    self._unasked[scope][name] = key
            self._incomplete[key] = value
            registry.discard(key)
            self._fail(key, error)

    def _fail(self, key: str, error: BaseException) -> NoReturn:
        """Note that an object could not be made, or completed."""
        self._failures[key] = reason = self._reason(key, error)
        for place in self._names.get(key, ()):
            self._absent[place] = reason

        def again() -> None:
            self._revive(key)
            self._find_places(key)
            self._try_to_complete(key)

        self._failed[key] = again
        raise MissingDefinition(reason) from error

    def _revive(self, key: str) -> None:
        """Let an object be there which could not be completed, but may be now."""
        if key in self._incomplete:
            self._failures.pop(key, None)
            registry.add(key, self._incomplete.pop(key))

    # Errors

    def explain(self, error: BaseException) -> None:
        """Say in the text of an error why the name or the attribute that it misses is not here."""
        if not (self._absent or self._lacking or self._imported):
            return
        frames = _frames_of(error)
        reason = self._explanation(error) or self._of_another_state(frames)
        if not reason or not error.args or "could not be sent" in str(error.args[0]):
            return
        where = next((each.f_code.co_name for each in reversed(frames) if _is_ours(each)), "")
        advice = "" if "initargs" in reason else _ADVICE
        error.args = (f"{error.args[0]}: {where}() uses {reason}{advice}",)

    def _explanation(self, error: Any) -> str:
        # By its type: an exception may refuse to be asked for its class.
        kind = type(error)
        if issubclass(kind, NameError):
            return self._absence(error.name)
        if issubclass(kind, AttributeError):
            owner = type(error.obj)
            if issubclass(owner, Mirror):
                return self._absence(error.name)
            classes = (error.obj if issubclass(owner, type) else owner).__mro__
            for key, lacking in self._lacking.items():
                known = registry.objects.get(key)
                if error.name in lacking and any(known is each for each in (error.obj, *classes)):
                    reason = lacking[error.name]
                    return f"the attribute {error.name}, which could not be sent: {reason}"
        if issubclass(kind, ImportError) and error.name == "__main__":
            for (_, name), reason in self._absent.items():
                if f"'{name}'" in str(error):
                    return f"the global {name}, which could not be sent: {reason}"
        return ""

    def _of_another_state(self, frames: list[Any]) -> str:
        """What to say of an error that a module raised which a global was imported from anew."""
        if not frames:
            return ""
        raised_in = str(frames[-1].f_globals.get("__name__")).partition(".")[0]
        for (scope, name), (module, reason) in self._imported.items():
            if module.partition(".")[0] == raised_in and any(
                each.f_globals is registry.namespaces[scope] and name in each.f_code.co_names
                for each in frames
            ):
                return (
                    f"the global {name}, which could not be sent ({reason}), "
                    f"and is what {module} has in a new process"
                )
        return ""

    def _absence(self, missing: str | None) -> str:
        for (_, name), reason in self._absent.items():
            if name == missing:
                return f"the global {name}, which could not be sent: {reason}"
        return ""


_ADVICE = (
    ". Make it in the worker instead: in the function, in an initializer, or in a module that "
    "workers can import"
)


def _frames_of(error: BaseException) -> list[Any]:
    frames = []
    traceback = traceback_of(error)
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def _is_ours(frame: Any) -> bool:
    """Whether a frame is of a function that the caller has sent."""
    return any(frame.f_globals is contents for contents in registry.namespaces.values())


_STEPS: dict[str, Any] = {
    "scope": Copies._scope,
    "bind": Copies._bind,
    "set": Copies._set,
    "import": Copies._import,
    "absent": Copies._be_absent,
    "unbind": Copies._unbind,
    "object": Copies._object,
    "state": Copies._state,
    "broken": Copies._break,
    "release": Copies._release,
    "change": Copies._change,
    "lack": Copies._lack,
    "wake": Copies._wake,
    "source": Copies._take_source,
    "context": Copies._take_context,
}

_pid = os.getpid()
_kept: list[Any] = []


def _keep(module: Any) -> None:
    """Keep a module whose place another takes: what it defines would lose its globals."""
    _kept.append(module)


def _end_if_forked() -> None:
    """End here if this is a child that code of the user's has forked."""
    if os.getpid() != _pid:
        os._exit(0)


def _text(error: BaseException) -> str:
    from enact_pool._python.tracebacks import describe

    text, kind, _ = describe(error)
    return f"{kind}: {text}"
