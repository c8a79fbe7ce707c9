"""Objects that cannot be sent to another process: they hold locks, descriptors or workers.

An object travels along with its methods, and with objects of which it is an attribute.
Without this check, the error would name the object deep inside it that cannot be pickled
(a lock, say). This is a module of its own, since classes of all packages derive from it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ProcessLocal"]


class ProcessLocal:
    """A base of objects that only the process that created them can use."""

    # The advice at the end of the error message.
    _instead = "create it there, or exclude it in __getstate__"

    # Not `__reduce__`: a subclass that excludes what cannot travel overrides
    # this one method.
    def __getstate__(self) -> Any:
        """Raise `TypeError`, which names the class and says what to do instead."""
        name = type(self).__name__
        article = "an" if name[0] in "AEIOU" else "a"
        raise TypeError(f"{article} {name} cannot be sent to a worker; {self._instead}")
