"""Objects of one process: they hold locks, descriptors or workers, and cannot be sent to another.

What is an attribute of an object travels along with the object's methods. Without a
check of its own, the object deep inside it that cannot be pickled (a lock, say) is what
the error would name.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ProcessLocal"]


class ProcessLocal:
    """A base of what can be used in the process that created it, and refuses to be pickled."""

    # What to do instead, in the words of the message.
    _instead = "create it there, or exclude it in __getstate__"

    # Not `__reduce__`: a subclass that knows how to leave out what does not travel
    # overrides this one method.
    def __getstate__(self) -> Any:
        """Raise `TypeError`, which names the class and says what to do instead."""
        name = type(self).__name__
        article = "an" if name[0] in "AEIOU" else "a"
        raise TypeError(f"{article} {name} cannot be sent to a worker; {self._instead}")
