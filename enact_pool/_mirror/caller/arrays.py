"""How NumPy's arrays are pickled without a copy, where plain pickle makes one or two.

Plain pickle leaves the memory of an array out of band only if the array is contiguous and its
type is `ndarray` itself. For a memory map, the name of its file is sent.
"""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["numpy_is_loaded", "reduce_array"]


def numpy_is_loaded() -> bool:
    """Return whether the program has imported NumPy."""
    return "numpy" in sys.modules


def reduce_array(value: Any, kind: type) -> tuple[Any, ...] | None:
    """Return how to pickle an array; None for other values, and if plain pickle is good enough.

    Plain pickle also pickles arrays of objects, and subclasses that define `__reduce__`.
    """
    numpy: Any = sys.modules["numpy"]
    plain = getattr(numpy, "ndarray", None)
    if plain is None or not issubclass(kind, plain) or value.dtype.hasobject:
        return None
    if kind is plain:
        if value.flags.forc:
            return None
        return rebuilt_array, (kind, numpy.ascontiguousarray(value), None)
    if kind is numpy.ma.MaskedArray:
        return _reduce_masked(numpy, value)
    if kind is numpy.memmap and (reduced := _reduce_map(numpy, value)) is not None:
        return reduced
    if kind.__reduce__ is not plain.__reduce__ or kind.__reduce_ex__ is not plain.__reduce_ex__:
        return None
    base = value.view(plain)
    base = base if base.flags.forc else numpy.ascontiguousarray(base)
    if kind is numpy.memmap:
        return rebuilt_array, (plain, base, None)
    attributes = dict(vars(value)) if hasattr(value, "__dict__") else {}
    # Of subclasses of `memmap`: they have a copy.
    attributes.pop("_mmap", None)
    return rebuilt_array, (kind, base, attributes)


def rebuilt_array(kind: Any, base: Any, attributes: dict[str, Any] | None) -> Any:
    """Return an array of this type that shares the memory of a plain one."""
    import numpy

    value = base if kind is numpy.ndarray else base.view(kind)
    if attributes:
        value.__dict__.update(attributes)
    return value


def _reduce_masked(numpy: Any, value: Any) -> tuple[Any, ...]:
    mask = numpy.ma.getmask(value)
    data = numpy.asarray(value.data)
    details = value.fill_value if value._fill_value is not None else None, value.hardmask
    return rebuilt_masked, (data, None if mask is numpy.ma.nomask else mask, *details)


def rebuilt_masked(data: Any, mask: Any, fill_value: Any, hard: bool) -> Any:
    """Return a masked array that shares the memory of plain arrays."""
    import numpy

    return numpy.ma.MaskedArray(
        data,
        mask=numpy.ma.nomask if mask is None else mask,
        fill_value=fill_value,
        hard_mask=hard,
    )


def _reduce_map(numpy: Any, value: Any) -> tuple[Any, ...] | None:
    """Reduce a memory map to its file and offset; None if its memory differs from the file."""
    whole = value
    while isinstance(whole.base, numpy.memmap):
        whole = whole.base
    name = whole.filename
    if name is None or whole.mode == "c" or not value.flags.forc:
        return None
    first, _ = _bounds(value)
    start, end = _bounds(whole)
    offset = whole.offset + first - start
    try:
        if os.stat(name).st_size < whole.offset + end - start:
            return None
    except OSError:
        return None  # the file was deleted, and exists only while it is mapped
    order = "C" if value.flags.c_contiguous else "F"
    mode = "r" if whole.mode == "r" else "c"
    return mapped, (os.path.abspath(name), value.dtype, mode, offset, value.shape, order)


def _bounds(value: Any) -> tuple[int, int]:
    start = value.__array_interface__["data"][0]
    return start, start + value.nbytes


def mapped(name: str, dtype: Any, mode: Any, offset: int, shape: Any, order: Any) -> Any:
    """Return an array that is mapped from a file; writes to it stay in this process."""
    import numpy

    return numpy.memmap(name, dtype, mode, offset, shape, order)
