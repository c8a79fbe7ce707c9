"""Large arrays among the arguments of tasks: each is written once per call of a `Parallel`.

The pickle of a task has a path in place of such an array. The worker opens the file and
maps it privately: a task may write to its array, and no other task sees that.

On Linux the file has no name, so nothing is left of it however this process ends; the
path is that of its descriptor, in /proc. Elsewhere it is a temporary file, which is
deleted when no task needs it any more.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

from joblib._memmapping_reducer import _get_backing_memmap, _reduce_memmap_backed

from enact_pool._ipc.large_value import LargeValue
from enact_pool._mirror.caller.pickler import ByValuePickler
from enact_pool._wire.frames import SHAREABLE
from enact_pool.joblib.worker_side import load_shared_array

__all__ = ["SharedArray", "SharedArrays", "TaskPickler"]

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


class SharedArray:
    """An array in a file, which exists as long as this object."""

    def __init__(self, array: Any) -> None:
        """Write the array. Raises `OSError` if there is no space or no descriptor for it."""
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(
            array if array.flags.forc else array.copy("C"),
            pickle.HIGHEST_PROTOCOL,
            buffer_callback=buffers.append,
        )
        parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
        if _can_share_descriptors():
            name = ""
            value = LargeValue.of(parts, all_mapped=True)
            path = f"/proc/{os.getpid()}/fd/{value.fileno()}"
        else:
            file, name = tempfile.mkstemp(prefix="enact_pool-")
            path = name
            try:
                value = LargeValue.of(parts, all_mapped=True, file=file)
            except BaseException:
                os.unlink(name)
                raise
        weakref.finalize(self, _close, value, name, os.getpid())
        self.reduced: Reduced = (
            load_shared_array,
            (path, os.fstat(value.fileno()).st_ino, value.layout),
        )


def _can_share_descriptors() -> bool:
    """Return whether other processes of this user can open this process's descriptors in /proc."""
    try:
        return os.stat("/proc/self/fd").st_uid == os.geteuid()
    except OSError:
        return False


def _close(value: LargeValue, name: str, pid: int) -> None:
    value.close()
    # A forked child must not delete it: its parent still uses it.
    if name and os.getpid() == pid:
        os.unlink(name)


class SharedArrays:
    """The shared arrays of one call: those of more than `min_bytes` (None: none are shared).

    As with joblib's own backends, a shared array is read once: later tasks do not see
    what the caller writes to it during the call.
    """

    def __init__(self, min_bytes: int | None) -> None:
        self._min_bytes = min_bytes
        # By the ids of the arrays, as long as the arrays exist.
        self._shared: dict[int, tuple[weakref.ref[Any], SharedArray]] = {}

    def pickler(self) -> TaskPickler:
        """Return a new pickler of tasks that share these arrays."""
        return TaskPickler(self)

    def share(self, array: Any) -> SharedArray | None:
        """Return the shared copy of an array; None if the array is small, or there is no space."""
        if self._min_bytes is None or array.nbytes <= self._min_bytes or array.dtype.hasobject:
            return None
        key = id(array)
        known = self._shared.get(key)
        if known is not None and known[0]() is array:
            return known[1]
        try:
            shared = SharedArray(array)
        except OSError:
            return None
        # The array may outlive the call: its callback must not keep the shared arrays until then.
        this = weakref.ref(self)

        def forget(_: object) -> None:
            arrays = this()
            if arrays is not None:
                arrays._shared.pop(key, None)

        self._shared[key] = weakref.ref(array, forget), shared
        return shared


class TaskPickler(ByValuePickler):
    """Pickles tasks by value where necessary, and shares large arrays.

    `used` has the shared arrays of its pickles; they must exist until these are unpickled.
    """

    def __init__(self, shared: SharedArrays) -> None:
        self._file = BytesIO()
        super().__init__(self._file)
        self.used: list[SharedArray] = []
        self._share = shared.share

    def pickled(self, value: object) -> bytes:
        """Return a pickle of this value alone. Raises what pickling raises."""
        self._file.seek(0)
        self._file.truncate()
        self.clear_memo()
        self.dump(value)
        return self._file.getvalue()

    def pickled_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """Return a pickle of both. Quick where they are plain values, as in many tasks."""
        if SHAREABLE.issuperset(map(type, args)) and SHAREABLE.issuperset(
            map(type, kwargs.values())
        ):
            return pickle.dumps((args, kwargs), pickle.HIGHEST_PROTOCOL)
        return self.pickled((args, kwargs))

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind.__module__ != "numpy" or kind.__name__ not in ("ndarray", "memmap"):
            return super().reducer_override(obj)
        backing = _get_backing_memmap(obj)
        if getattr(backing, "filename", None) is not None:
            # It is a file already, which the worker can map.
            return _reduce_memmap_backed(obj, backing)
        shared = self._share(obj)
        if shared is None:
            return NotImplemented
        self.used.append(shared)
        return shared.reduced
