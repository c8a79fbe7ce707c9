"""Loans: large arrays that tasks are given, each written once for all tasks of a `Parallel` call.

The pickle of a task has a path in the place of such an array. The worker opens it,
and maps it privately: a task may write to its array, and nobody else sees that.

On Linux the file has no name, so nothing is left of it in whichever way this
process ends; the path is that of its descriptor, in /proc. Elsewhere it is a
temporary file, which is deleted when no task needs it any more.
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
from enact_pool.joblib.tasks import borrowed

__all__ = ["Loan", "Loans", "Pickler"]

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


class Loan:
    """An array in a file, which is there as long as this is."""

    def __init__(self, array: Any) -> None:
        """Raises `OSError` if there is no room or no descriptor for it."""
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(
            array if array.flags.forc else array.copy("C"),
            pickle.HIGHEST_PROTOCOL,
            buffer_callback=buffers.append,
        )
        parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
        if _shows_descriptors():
            name = ""
            parcel = LargeValue.of(parts, all_mapped=True)
            path = f"/proc/{os.getpid()}/fd/{parcel.fileno()}"
        else:
            file, name = tempfile.mkstemp(prefix="enact_pool-")
            path = name
            try:
                parcel = LargeValue.of(parts, all_mapped=True, file=file)
            except BaseException:
                os.unlink(name)
                raise
        weakref.finalize(self, _end, parcel, name, os.getpid())
        self.reduced: Reduced = (
            borrowed,
            (path, os.fstat(parcel.fileno()).st_ino, parcel.layout),
        )


def _shows_descriptors() -> bool:
    """Whether other processes of this user can open what this one has open."""
    try:
        return os.stat("/proc/self/fd").st_uid == os.geteuid()
    except OSError:
        return False


def _end(parcel: LargeValue, name: str, pid: int) -> None:
    parcel.close()
    # Not a forked child, whose parent has it still.
    if name and os.getpid() == pid:
        os.unlink(name)


class Loans:
    """The loans of one `Parallel` call: arrays of more than `least_bytes` (None: of none).

    As with joblib's own backends, an array that was lent is not looked at again:
    what is written to it while the call goes on, later tasks do not see.
    """

    def __init__(self, least_bytes: int | None) -> None:
        self._least_bytes = least_bytes
        # By the ids of the arrays, as long as these are alive.
        self._lent: dict[int, tuple[weakref.ref[Any], Loan]] = {}

    def pickler(self) -> Pickler:
        """What pickles tasks with these loans."""
        return Pickler(self)

    def loan(self, array: Any) -> Loan | None:
        """The loan of an array; None if it is small, or there is no room."""
        if self._least_bytes is None or array.nbytes <= self._least_bytes or array.dtype.hasobject:
            return None
        key = id(array)
        known = self._lent.get(key)
        if known is not None and known[0]() is array:
            return known[1]
        try:
            loan = Loan(array)
        except OSError:
            return None
        # An array may live on: what is called at its end need not keep the loans till then.
        this = weakref.ref(self)

        def forget(_: object) -> None:
            loans = this()
            if loans is not None:
                loans._lent.pop(key, None)

        self._lent[key] = weakref.ref(array, forget), loan
        return loan


class Pickler(ByValuePickler):
    """Pickles by value what has to be, and puts loans in the place of large arrays.

    Those are in `loans`, and have to be there when it is unpickled.
    """

    def __init__(self, loans: Loans) -> None:
        self._file = BytesIO()
        super().__init__(self._file)
        self.loans: list[Loan] = []
        self._loan = loans.loan

    def pickled(self, value: object) -> bytes:
        """A pickle of this alone. Raises whatever pickling raises."""
        self._file.seek(0)
        self._file.truncate()
        self.clear_memo()
        self.dump(value)
        return self._file.getvalue()

    def pickled_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """The same, of a pair that many tasks have nothing but plain values in."""
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
            # A file already, which the worker can map itself.
            return _reduce_memmap_backed(obj, backing)
        loan = self._loan(obj)
        if loan is None:
            return NotImplemented
        self.loans.append(loan)
        return loan.reduced
