"""Processes that a callable starts with multiprocessing's "spawn", or with loky.

Such a process runs the main module of its parent, so that it has the same definitions. In a worker
that would be the caller's script. So the mirror of `__main__` has a spec that names the module
`child_main` instead, which reads the definitions that the worker has written.
"""

from __future__ import annotations

import atexit
import os
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["VARIABLE", "MainSpec"]

# The environment variable with the path of the definitions.
VARIABLE = "ENACT_POOL_DEFINITIONS"

# The function of multiprocessing, and of loky, that reads which module a new process runs.
_READER = "get_preparation_data"


class MainSpec(ModuleSpec):
    """The spec of the mirror of `__main__`, with another name for new processes."""

    def __init__(self, module: ModuleType, load_all: Callable[[], None]) -> None:
        super().__init__("__main__", None)
        self._module = module
        self._load_all = load_all
        self._file = -1

    @property
    def name(self) -> str:
        """The module that a new process runs, or `__main__` for any other reader."""
        if sys._getframe(1).f_code.co_name != _READER:
            return "__main__"
        self._load_all()
        os.environ[VARIABLE] = self._write_definitions()
        return "enact_pool._mirror.worker.child_main"

    @name.setter
    def name(self, value: str) -> None:
        """Ignore the new name."""

    @property
    def parent(self) -> str:
        """The package that relative imports start from."""
        package = self._module.__dict__.get("__package__")
        return package if isinstance(package, str) else ""

    def _write_definitions(self) -> str:
        """Write the definitions as they are now, and return the path of the file."""
        # Few workers import this: only those that are a caller themselves.
        from enact_pool._mirror.caller.main_definitions import packed_definitions
        from enact_pool._system.descriptors import create_file

        content = packed_definitions(self._module)
        if os.path.isdir("/proc/self/fd"):
            before, self._file = self._file, create_file()
            if before >= 0:
                os.close(before)
            os.truncate(self._file, 0)
            _write_all(self._file, content)
            return f"/proc/{os.getpid()}/fd/{self._file}"
        import tempfile

        descriptor, path = tempfile.mkstemp(prefix="enact_pool-")
        _write_all(descriptor, content)
        os.close(descriptor)
        atexit.register(os.unlink, path)
        return path


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
