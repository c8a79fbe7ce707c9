"""Objects that each worker makes anew: locks, random generators, weak containers.

A module may have them as globals. A copy would be wrong: a lock must be free, and workers must
not draw the same random numbers.
"""

from __future__ import annotations

import contextvars
import queue
import random
import struct
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from enact_pool._mirror.caller.process_bound import Unsendable
from enact_pool._mirror.rebuild.values import (
    new_lock,
    new_rlock,
    own_generator,
    own_instance,
    own_seed_sequence,
    own_torch_generator,
    weak_method,
    weak_reference,
)
from enact_pool._mirror.registry import module_of

__all__ = ["FRESH", "reduce_fresh"]


def reduce_fresh(obj: Any, kind: type) -> Any:
    """Return how to make a random generator or a thread-local object; None for other objects."""
    if issubclass(kind, (random.Random, threading.local)):
        return own_instance, (kind,)
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        if issubclass(kind, numpy.Generator):
            return own_generator, (kind, type(obj.bit_generator))
        if issubclass(kind, (numpy.RandomState, numpy.BitGenerator)):
            return own_instance, (kind,)
        if kind is numpy.SeedSequence:
            return own_seed_sequence, (kind, obj.entropy, obj.spawn_key, obj.pool_size)
    if module_of(kind) == "torch._C" and kind.__name__ == "Generator":
        return own_torch_generator, (str(obj.device),)
    return None


def _reduce_simple_queue(waiting: Any) -> Any:
    if not waiting.empty():
        raise Unsendable("a SimpleQueue that is not empty cannot be sent to another process")
    return queue.SimpleQueue, ()


def _reduce_weak_reference(reference: Any) -> Any:
    value = reference()
    if value is None or reference.__callback__ is not None:
        raise Unsendable("a weak reference that is dead, or has a callback, cannot be sent")
    return weak_reference, (value,)


def _reduce_weak_method(reference: Any) -> Any:
    method = reference()
    if method is None or reference.__callback__ is not None:
        raise Unsendable("a weak method that is dead, or has a callback, cannot be sent")
    return weak_method, (method.__self__, method.__func__)


def refused_token() -> Any:
    """Raise `Unsendable`, in the worker that unpickles a token, when the token is first needed."""
    raise Unsendable("a token of a context variable cannot be sent to another process")


# By type, as in a pickler's dispatch table.
FRESH: dict[type, Callable[[Any], Any]] = {
    type(threading.Lock()): lambda lock: (new_lock, ()),
    type(threading.RLock()): lambda lock: (new_rlock, ()),
    threading.local: lambda local: (threading.local, ()),
    queue.SimpleQueue: _reduce_simple_queue,
    struct.Struct: lambda layout: (struct.Struct, (layout.format,)),
    weakref.ref: _reduce_weak_reference,
    weakref.WeakMethod: _reduce_weak_method,
    weakref.WeakValueDictionary: lambda d: (weakref.WeakValueDictionary, (dict(d),)),
    weakref.WeakKeyDictionary: lambda d: (weakref.WeakKeyDictionary, (dict(d),)),
    weakref.WeakSet: lambda d: (weakref.WeakSet, (list(d),)),
    contextvars.Token: lambda token: (refused_token, ()),
}
