"""Whether system calls are restarted after a signal handler: Python can set it, not read it."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["restarts_calls"]

_SA_RESTART = 0x0002 if sys.platform == "darwin" else 0x10000000
_MASK_BYTES = 4 if sys.platform == "darwin" else 128


class _Action(ctypes.Structure):
    """`struct sigaction` of Linux (glibc and musl) and of macOS."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * _MASK_BYTES),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


_sigaction = ctypes.CDLL(None).sigaction


def restarts_calls(number: int) -> bool:
    """Return whether system calls that a signal interrupts are restarted after its handler."""
    action = _Action()
    return not _sigaction(number, None, ctypes.byref(action)) and bool(action.flags & _SA_RESTART)
