"""Proxies of wrapt, which refuse to be pickled: functions that its decorators have wrapped."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.libraries.library import loaded
from enact_pool._mirror.caller.module_globals import provides
from enact_pool._mirror.caller.scopes import scopes

__all__ = ["add_reducers"]


def add_reducers(reducers: dict[type, Callable[[Any], Any]]) -> None:
    """Add the reducers of wrapt's proxies."""
    wrapt = loaded("wrapt")
    reducers[wrapt.FunctionWrapper] = _reduce_wrapper
    for kind in (wrapt.ObjectProxy, wrapt.CallableObjectProxy):
        reducers[kind] = _reduce_proxy


def _reduce_proxy(proxy: Any) -> Any:
    return _name_of(proxy) or (type(proxy), (proxy.__wrapped__,))


def _reduce_wrapper(wrapper: Any) -> Any:
    arguments = wrapper.__wrapped__, wrapper._self_wrapper, wrapper._self_enabled
    return _name_of(wrapper) or (type(wrapper), arguments)


def _name_of(proxy: Any) -> str | None:
    """Return the name under which its module has a proxy; None if workers cannot import it."""
    module, name = getattr(proxy, "__module__", None), getattr(proxy, "__qualname__", None)
    owner = sys.modules.get(module) if type(module) is str else None
    if (
        isinstance(owner, ModuleType)
        and type(name) is str
        and scopes.is_importable(owner.__name__, owner)
        and provides(owner, name, proxy)
    ):
        return name
    return None
