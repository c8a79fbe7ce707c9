"""The one pickler: by name what workers can import, by key what they have a copy of, else by value.

It extends cloudpickle's, which does the work for functions that are nested in functions of
modules, and for many types. What belongs to a scope never goes through it by value.
"""

from __future__ import annotations

import contextvars
import dataclasses
import inspect
import io
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import typing
import weakref
from collections import ChainMap
from collections.abc import Callable
from concurrent.futures import Executor, Future
from enum import Enum
from functools import cached_property, partial
from io import BytesIO
from multiprocessing.reduction import ForkingPickler
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any, ClassVar

import cloudpickle
from cloudpickle import cloudpickle as _cloudpickle

from enact_pool._mirror import rebuild
from enact_pool._mirror.caller.arrays import numpy_is_loaded, reduce_array
from enact_pool._mirror.caller.foreign_values import add_reducers, reducers
from enact_pool._mirror.caller.scopes import (
    Definition,
    LruCache,
    Scope,
    is_dispatcher,
    scopes,
)
from enact_pool._mirror.rebuild.attributes import set_attributes
from enact_pool._mirror.rebuild.enums import enum_member, enum_value
from enact_pool._mirror.rebuild.functions import (
    make_cached,
    make_cell,
    make_dispatcher,
    make_function,
    set_cached,
    set_cell,
    set_dispatcher,
    set_function,
)
from enact_pool._mirror.rebuild.references import bound_method, global_value, module_value
from enact_pool._mirror.rebuild.typing_objects import (
    make_alias,
    make_new_type,
    make_type_variable,
    set_alias,
)
from enact_pool._mirror.rebuild.values import cached_property_of, load_library
from enact_pool._mirror.registry import (
    imported,
    member,
    module_of,
    resolve,
    scope_module,
)
from enact_pool._python.locks import AdvisingPickler
from enact_pool._python.process_local import ProcessLocal

__all__ = [
    "EVERY_NAME",
    "PROTOCOL",
    "ByValuePickler",
    "Needs",
    "Unsendable",
    "can_refer_to_variable",
    "place_of_variable",
]

PROTOCOL = pickle.HIGHEST_PROTOCOL

_IDENTIFIER = re.compile(r"[^\W\d]\w*")

# All names of a scope, for code that may ask for any of them.
EVERY_NAME = ""
# Names that such code has.
_ASKS_FOR_NAMES = frozenset(("eval", "exec", "globals", "vars", "__main__", "import_module"))


# With these attributes code finds a module, perhaps its own: `sys.modules[__name__]`.
_FINDS_MODULES = frozenset(("__main__", "import_module", "modules", "getmodule"))


class Needs:
    """What a worker must have before it can load a pickle, or call what is in it.

    `definitions` are named by key. `names` are the globals that code refers to.
    """

    __slots__ = ("definitions", "names", "scopes")

    def __init__(self) -> None:
        self.definitions: dict[Definition, None] = {}
        self.names: dict[tuple[Scope, str], None] = {}
        self.scopes: dict[Scope, None] = {}

    def __bool__(self) -> bool:
        return bool(self.definitions or self.names or self.scopes)

    def key(self) -> tuple[Any, ...]:
        """Return what is equal for the same needs."""
        return tuple(self.definitions), tuple(self.names), tuple(self.scopes)

    def add(self, other: Needs) -> None:
        """Add those of another pickle."""
        self.definitions.update(other.definitions)
        self.names.update(other.names)
        self.scopes.update(other.scopes)


# Sentinels of the standard library, which are compared by identity.
_SENTINELS: dict[int, tuple[Any, str]] = {
    id(getattr(dataclasses, name)): (dataclasses, name)
    for name in ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")
    if hasattr(dataclasses, name)
}


class ByValuePickler(AdvisingPickler, cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles what is sent: callables, inputs and results. `needs` grows with what is pickled."""

    dispatch_table: ClassVar[Any]

    def __init__(
        self,
        file: BytesIO,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
        *,
        repeated: bool = False,
    ) -> None:
        """`repeated` says that the pickle is loaded more than once."""
        add_reducers()
        super().__init__(file, PROTOCOL, buffer_callback)
        self.needs = Needs()
        self._repeated = repeated

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is FunctionType:
            return NotImplemented if id(obj) in _MAKERS else self._reduce_function(obj)
        if issubclass(kind, type):
            return self._reduce_class(obj)
        if issubclass(kind, Enum):
            return self._reduce_member(obj)
        if id(obj) in _SENTINELS:
            return getattr, _SENTINELS[id(obj)]
        special = _SPECIAL.get(kind)
        if special is not None:
            return special(self, obj)
        return self._reduce_instance(obj, kind)

    # Definitions

    def refer(self, definition: Definition) -> Any:
        """Refer to a definition by its key."""
        self.needs.definitions[definition] = None
        definition.used = scopes.sweeps
        return resolve, (definition.key,)

    def refer_to_member(self, function: FunctionType, definition: Definition, name: str) -> Any:
        """Refer to a function that a class has under a name."""
        self.needs.definitions[definition] = None
        definition.used = scopes.sweeps
        return member, (definition.key, name)

    def _reduce_function(self, function: FunctionType) -> Any:
        found = scopes.find_function(function)
        if found is not None:
            if type(found) is tuple:
                return self.refer_to_member(function, *found)
            assert isinstance(found, Definition)
            return self.refer(found)
        return self.function_by_value(function)

    def function_by_value(self, function: FunctionType) -> Any:
        """A function that has no key: it travels each time, but its globals do not."""
        if is_dispatcher(function):
            parts = self.dispatcher_parts(function)
            if parts is not None:
                maker, arguments, state = parts
                return maker, arguments, state, None, None, set_dispatcher
        scope = scopes.scope_of(function.__globals__)
        if scope is None:
            module = function.__module__
            owner = sys.modules.get(module) if type(module) is str else None
            if isinstance(owner, ModuleType) and not scopes.is_importable(module, owner):
                # It is found under a name that the worker would look for in vain.
                return self._dynamic_function_reduce(function)
            return super().reducer_override(function)
        parts = self.function_parts(function, scope)
        state = self.function_state(function, scope)
        return make_function, parts, state, None, None, set_function

    def cells(self, function: FunctionType) -> tuple[CellType, ...] | None:
        """The cells that a function is made with."""
        return function.__closure__

    def without_unsendable(
        self, definition: Definition, attributes: dict[str, Any]
    ) -> dict[str, Any]:
        """The attributes of a class that can be pickled. Here all of them must be."""
        return attributes

    def function_parts(self, function: FunctionType, scope: Scope) -> tuple[Any, ...]:
        """What a function is made of: see `make_function`."""
        self.needs.scopes[scope] = None
        self.note_names(function.__code__, scope)
        return (
            function.__code__,
            scope.key,
            function.__name__,
            function.__qualname__,
            function.__module__,
            function.__doc__,
            self.cells(function),
        )

    def function_state(self, function: FunctionType, scope: Scope | None) -> dict[str, Any]:
        """What a function has beside its parts: see `set_function`."""
        state: dict[str, Any] = {}
        if function.__dict__:
            state["attributes"] = function.__dict__
        if function.__defaults__ is not None:
            state["__defaults__"] = function.__defaults__
        if function.__kwdefaults__ is not None:
            state["__kwdefaults__"] = function.__kwdefaults__
        if function.__annotations__:
            state["__annotations__"] = function.__annotations__
            if scope is not None:
                self.note_annotations(function.__annotations__, scope)
        parameters = getattr(function, "__type_params__", ())
        if parameters:
            state["__type_params__"] = parameters
        modules = self._modules_of(function)
        if modules:
            state["imports"] = modules
        return state

    def _modules_of(self, function: FunctionType) -> list[str]:
        """The submodules that a function reaches as attributes of packages."""
        contents = function.__globals__
        values = [contents[name] for name in _names_of(function.__code__) if name in contents]
        for cell in function.__closure__ or ():
            try:
                values.append(cell.cell_contents)
            except ValueError:
                continue  # it has no value yet
        packages = [value for value in values if type(value) is ModuleType]
        if not packages:
            return []
        found = _cloudpickle._find_imported_submodules(function.__code__, packages)
        return [
            module.__name__ for module in found if scopes.is_importable(module.__name__, module)
        ]

    def note_names(self, code: CodeType, scope: Scope) -> None:
        """Note which globals code refers to."""
        names = _names_of(code)
        for name in names:
            self.needs.names[scope, name] = None
        if not _ASKS_FOR_NAMES.isdisjoint(names) or _mentions_main(code):
            self.needs.names[scope, EVERY_NAME] = None

    def note_annotations(self, annotations: dict[str, Any], scope: Scope) -> None:
        """Note which globals annotations refer to that are texts."""
        for annotation in annotations.values():
            if type(annotation) is str:
                for name in _IDENTIFIER.findall(annotation):
                    self.needs.names[scope, name] = None

    def dispatcher_parts(self, function: Any) -> tuple[Any, tuple[Any, ...], Any] | None:
        """How to make a dispatcher; None if workers can import it."""
        module = function.__module__
        owner = sys.modules.get(module)
        if (
            isinstance(owner, ModuleType)
            and "<locals>" not in function.__qualname__
            and scopes.is_importable(module, owner)
        ):
            return None
        functions = list(function.registry.items())
        attributes = {
            name: value
            for name, value in function.__dict__.items()
            if name not in ("register", "dispatch", "registry", "_clear_cache")
        }
        first = function.registry[object]
        return make_dispatcher, (first,), (functions, attributes)

    def _reduce_class(self, cls: Any) -> Any:
        definition = scopes.find_class(cls)
        if definition is None:
            return super().reducer_override(cls)
        return self.refer(definition)

    def _reduce_member(self, member: Enum) -> Any:
        cls = type(member)
        if scopes.find_class(cls) is None:
            return NotImplemented
        name = member._name_
        if type(name) is str and cls.__dict__["_member_map_"].get(name) is member:
            return enum_member, (cls, name)
        return enum_value, (cls, member._value_)

    def _reduce_instance(self, obj: Any, kind: type) -> Any:
        if kind in _shared_reducers:
            return self._reduce_shared(obj, kind)
        if issubclass(kind, _REFUSED) and not issubclass(kind, ProcessLocal):
            raise Unsendable(f"a {kind.__name__} cannot be sent to another process: make it there")
        if "ctypes" in sys.modules and issubclass(kind, sys.modules["ctypes"].CDLL):
            return load_library, (kind, obj._name, _functions_of(obj))
        if numpy_is_loaded() and (reduced := reduce_array(obj, kind)) is not None:
            return reduced
        if scopes.known(kind) is None:
            return NotImplemented
        # One of the script's own classes, which may say how to pickle its instances.
        if kind.__reduce_ex__ is object.__reduce_ex__ and kind.__reduce__ is object.__reduce__:
            return NotImplemented
        reduced = obj.__reduce_ex__(PROTOCOL)
        if type(reduced) is str:
            return self._global_by_name(kind, reduced)
        return reduced

    def _reduce_shared(self, obj: Any, kind: type) -> Any:
        """What multiprocessing knows how to pass to a process: connections, sockets, tensors."""
        is_tensor = module_of(kind).partition(".")[0] == "torch"
        if is_tensor and (self._repeated or not getattr(obj, "is_shared", bool)()):
            # Each task gets a copy of its own.
            return NotImplemented
        if self._repeated and module_of(kind) not in ("builtins", "functools"):
            raise Unsendable(
                f"a {kind.__name__} can be sent to one task only: pass it as an argument of a "
                "call, or as an input of map_parallel"
            )
        if kind is partial:
            return NotImplemented
        return _shared_reducers[kind](obj)

    def _global_by_name(self, kind: type, name: str) -> Any:
        module = sys.modules.get(getattr(kind, "__module__", ""))
        scope = scopes.scope_of_module(module) if isinstance(module, ModuleType) else None
        if scope is None:
            return name
        self.needs.names[scope, name] = None
        return global_value, (scope.key, name)

    # Other types

    def _reduce_other(self, obj: Any) -> Any:
        definition = scopes.find_other(obj)
        if definition is not None:
            return self.refer(definition)
        parts = self.other_parts(obj)
        if parts is None:
            return NotImplemented
        maker, arguments, setter, state = parts
        if setter is None:
            return maker, arguments
        return maker, arguments, state, None, None, setter

    def other_parts(self, obj: Any) -> tuple[Any, tuple[Any, ...], Any, Any] | None:
        """How to make an object that workers cannot import, and set it; None if they can."""
        module = getattr(obj, "__module__", None)
        name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
        owner = sys.modules.get(module) if type(module) is str else None
        if (
            isinstance(owner, ModuleType)
            and scopes.is_importable(owner.__name__, owner)
            and type(name) is str
            and (type(obj) is not LruCache or "<locals>" not in name)
        ):
            return None
        kind = type(obj)
        if kind is LruCache:
            attributes = {k: v for k, v in obj.__dict__.items() if k != "__wrapped__"}
            arguments = obj.cache_parameters(), obj.__wrapped__
            return make_cached, arguments, set_cached, (None, attributes)
        if kind is typing.NewType:
            state = {"__supertype__": obj.__supertype__}
            return make_new_type, (name, module), set_attributes, state
        if kind is _TypeAlias:
            return self.alias_parts(obj, module)
        details = {
            attribute: value
            for attribute in ("bound", "covariant", "contravariant", "constraints")
            if (value := getattr(obj, f"__{attribute}__", None))
        }
        if kind is _TypeVarTuple:
            details = {}
        return make_type_variable, (kind.__name__, name, module, details), None, None

    def alias_parts(self, alias: Any, module: Any) -> tuple[Any, tuple[Any, ...], Any, Any]:
        """How to make an alias: its parameters are made along with it."""
        marks = {"TypeVar": "", "ParamSpec": "**", "TypeVarTuple": "*"}
        parameters, keys = [], []
        for parameter in alias.__type_params__:
            parameters.append(marks[type(parameter).__name__] + parameter.__name__)
            definition = scopes.define(parameter, "with_alias")
            keys.append(definition.key)
        arguments = alias.__name__, module, parameters, keys
        return make_alias, arguments, set_alias, alias.__value__

    def _reduce_cell(self, cell: CellType) -> Any:
        definition = scopes.known(cell)
        if definition is not None:
            return self.refer(definition)
        try:
            contents = cell.cell_contents
        except ValueError:
            return make_cell, ()
        # As a state, since it may refer to the cell: a recursive function does.
        return make_cell, (), (contents,), None, None, set_cell

    def _reduce_module(self, module: ModuleType) -> Any:
        scope = scopes.scope_of_module(module)
        if scope is not None:
            self.needs.scopes[scope] = None
            self.needs.names[scope, EVERY_NAME] = None
            return scope_module, (scope.key,)
        name = module.__name__
        if scopes.is_importable(name, module):
            return imported, (name,)
        return NotImplemented

    def _reduce_method(self, method: MethodType) -> Any:
        """By its name, as plain pickle does it: a copy of the function would have no state."""
        owner, function = method.__self__, method.__func__
        if isinstance(function, FunctionType):
            if type(scopes.find_function(function)) is tuple:
                return MethodType, (function, owner)
            name = function.__name__
            if isinstance(owner, type) and scopes.find_class(owner) is not None:
                return MethodType, (function, owner)
            if getattr(owner, name, None) == method:
                return bound_method, (owner, name)
        return MethodType, (function, owner)

    def _reduce_context_variable(self, variable: contextvars.ContextVar[Any]) -> Any:
        definition = scopes.known(variable)
        if definition is None:
            place = place_of_variable(variable)
            if place is None:
                return NotImplemented
            holder, name = place
            if isinstance(holder, str):
                return module_value, (holder, name)
            definition = scopes.define(variable, "context_variable", holder.module)
        return self.refer(definition)


# Functions of this package that pickles call: workers find them by their names.
_MAKERS = frozenset(
    id(function)
    for functions in (
        *(vars(module).values() for module in vars(rebuild).values() if type(module) is ModuleType),
        (resolve, member, imported, scope_module),
    )
    for function in functions
    if type(function) is FunctionType
)


# torch adds to these.
_shared_reducers: dict[type, Any] = vars(ForkingPickler)["_extra_reducers"]
# Types, with their subclasses, of objects that stand for something in their process.
_REFUSED = (threading.Thread, Future, Executor, subprocess.Popen)

_TypeAlias: Any = getattr(typing, "TypeAliasType", None)
_TypeVarTuple: Any = getattr(typing, "TypeVarTuple", None)

_SPECIAL: dict[type, Any] = {
    LruCache: ByValuePickler._reduce_other,
    typing.NewType: ByValuePickler._reduce_other,
    typing.TypeVar: ByValuePickler._reduce_other,
    typing.ParamSpec: ByValuePickler._reduce_other,
    **({} if _TypeAlias is None else {_TypeAlias: ByValuePickler._reduce_other}),
    **({} if _TypeVarTuple is None else {_TypeVarTuple: ByValuePickler._reduce_other}),
    CellType: ByValuePickler._reduce_cell,
    ModuleType: ByValuePickler._reduce_module,
    # It has a lock before Python 3.12.
    cached_property: lambda _, value: (cached_property_of, (value.func, value.attrname)),
    MethodType: ByValuePickler._reduce_method,
    # Looked up when it is needed: the pickler of definitions has another one.
    contextvars.ContextVar: lambda pickler, variable: pickler._reduce_context_variable(variable),
}


# Code

_main_mentioned: weakref.WeakKeyDictionary[CodeType, bool] = weakref.WeakKeyDictionary()


_names: weakref.WeakKeyDictionary[CodeType, dict[str, None]] = weakref.WeakKeyDictionary()


def _names_of(code: CodeType) -> dict[str, None]:
    """The globals that code refers to, with the code of functions and classes in it."""
    found = _names.get(code)
    if found is None:
        found = dict(_cloudpickle._extract_code_globals(code))
        waiting = [code]
        while waiting:
            each = waiting.pop()
            waiting += [constant for constant in each.co_consts if type(constant) is CodeType]
            if not each.co_flags & inspect.CO_OPTIMIZED:
                # The body of a class looks names up in its own dict first.
                found.update(dict.fromkeys(each.co_names))
        _names[code] = found
    return found


def _mentions_main(code: CodeType) -> bool:
    """Whether code imports `__main__`, or looks up a module by its name."""
    found = _main_mentioned.get(code)
    if found is None:
        found = "__main__" in code.co_consts or not _FINDS_MODULES.isdisjoint(code.co_names)
        found = found or any(
            _mentions_main(constant) for constant in code.co_consts if type(constant) is CodeType
        )
        _main_mentioned[code] = found
    return found


_reduce_code = cloudpickle.Pickler.dispatch_table[CodeType]
_FORGOTTEN = "<dynamic-code>"


def _reduce_whole_code(code: CodeType) -> tuple[Any, ...]:
    # cloudpickle forgets in which file a function was defined. Then no traceback could
    # show the line that raised.
    kind, fields = _reduce_code(code)
    return kind, tuple(
        code.co_filename if type(field) is str and field == _FORGOTTEN else field
        for field in fields
    )


def can_refer_to_variable(variable: Any) -> bool:
    """Return whether workers find a context variable."""
    return scopes.known(variable) is not None or place_of_variable(variable) is not None


def place_of_variable(variable: Any) -> tuple[Scope | str, str] | None:
    """Return the scope or the module that has a context variable, and the name it has there."""
    return _place_in_scope(variable) or _place_in_module(variable)


def _place_in_scope(value: Any) -> tuple[Scope, str] | None:
    for scope in scopes:
        for name, each in list(scope.contents.items()):
            if each is value:
                return scope, name
    return None


def _place_in_module(value: Any) -> tuple[str, str] | None:
    """The module that can be imported and has this very object, and the name it has there."""
    known = _places.get(id(value))
    if known is not None and known[0] is value:
        return known[1]
    place = None
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType):
            for attribute, found in list(module.__dict__.items()):
                if found is value and scopes.is_importable(name, module):
                    place = name, attribute
                    break
        if place is not None:
            break
    _places[id(value)] = value, place
    return place


_places: dict[int, tuple[Any, tuple[str, str] | None]] = {}


# What cannot be sent


class Unsendable(pickle.PicklingError, TypeError):
    """An object that exists in one process only."""


def _refuse_file(file: Any) -> Any:
    for name in ("stdout", "stderr"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    raise Unsendable(
        f"the open file {getattr(file, 'name', '?')!r} cannot be sent to another process: "
        "send its name, and open it there"
    )


def _closed_file_wrapper(kind: str) -> Callable[[Any], Any]:
    def refuse(obj: Any) -> Any:
        raise Unsendable(
            f"a {kind} cannot be sent to another process, which would delete its file: "
            "send its name"
        )

    return refuse


def _functions_of(library: Any) -> list[tuple[str, Any, Any]]:
    """The functions that were used of a library of ctypes, with their types."""
    return [
        (name, function.restype, function.argtypes)
        for name, function in vars(library).items()
        if isinstance(function, library._FuncPtr)
    ]


def _refuse_generator(generator: Any) -> Any:
    raise Unsendable(
        f"a {type(generator).__name__} cannot be sent to another process: send a list of its values"
    )


_temporary: Any = tempfile
_REFUSALS: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys(
        (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO),
        _refuse_file,
    ),
    **dict.fromkeys((GeneratorType, CoroutineType, AsyncGeneratorType), _refuse_generator),
    _temporary._TemporaryFileWrapper: _closed_file_wrapper("temporary file"),
    _temporary._TemporaryFileCloser: _closed_file_wrapper("temporary file"),
    tempfile.SpooledTemporaryFile: _closed_file_wrapper("temporary file"),
}

ByValuePickler.dispatch_table = ChainMap(
    {CodeType: _reduce_whole_code, **_REFUSALS}, reducers, cloudpickle.Pickler.dispatch_table
)
