"""Why definitions, globals and attributes of the caller are missing in this worker."""

from __future__ import annotations

import os

from enact_pool._mirror.registry import Mirror, registry
from enact_pool._python.tracebacks import describe, traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

__all__ = ["Failures", "error_text", "exit_if_forked"]

_ADVICE = (
    ". Create it in the worker instead: in the function, in an initializer, or in a module that "
    "workers can import"
)

_pid = os.getpid()


class Failures:
    """What could not be sent, made or completed, and the reasons."""

    def __init__(self) -> None:
        # Reasons: by the key of a definition, by the scope and the name of a global, and by the
        # key of a definition and the name of an attribute.
        self.definitions: dict[str, str] = {}
        self.globals: dict[tuple[str, str], str] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        # Globals that could not be sent and are imported instead: the module, and the reason.
        self.imported: dict[tuple[str, str], tuple[str, str]] = {}
        # What failed since the last retry, and the step that tries it again.
        self.retries: dict[str, Callable[[], object]] = {}

    def retry(self) -> None:
        """Try failed steps again until none of them succeeds: a value may need another one."""
        while self.retries:
            steps, self.retries = self.retries, {}
            for key in steps:
                self.definitions.pop(key, None)
            for step in steps.values():
                step()
            if len(self.retries) >= len(steps):
                self.retries = {}

    def explain(self, error: BaseException) -> None:
        """Add to the text of an error why the name or attribute that it reports is missing."""
        if not (self.globals or self.attributes or self.imported):
            return
        frames = _frames_of(error)
        reason = self._reason_of(error) or self._reason_of_import(frames)
        if not reason or not error.args or "could not be sent" in str(error.args[0]):
            return
        where = next((each.f_code.co_name for each in reversed(frames) if _is_sent(each)), "")
        advice = "" if "initargs" in reason else _ADVICE
        error.args = (f"{error.args[0]}: {where}() uses {reason}{advice}",)

    def _reason_of(self, error: Any) -> str:
        # By its type: an exception may refuse to return its class.
        kind = type(error)
        if issubclass(kind, NameError):
            return self._reason_of_name(error.name)
        if issubclass(kind, AttributeError):
            owner = type(error.obj)
            if issubclass(owner, Mirror):
                return self._reason_of_name(error.name)
            classes = (error.obj if issubclass(owner, type) else owner).__mro__
            for key, reasons in self.attributes.items():
                known = registry.objects.get(key)
                if error.name in reasons and any(known is each for each in (error.obj, *classes)):
                    reason = reasons[error.name]
                    return f"the attribute {error.name}, which could not be sent: {reason}"
        if issubclass(kind, ImportError) and error.name == "__main__":
            for (_, name), reason in self.globals.items():
                if f"'{name}'" in str(error):
                    return f"the global {name}, which could not be sent: {reason}"
        return ""

    def _reason_of_name(self, missing: str | None) -> str:
        for (_, name), reason in self.globals.items():
            if name == missing:
                return f"the global {name}, which could not be sent: {reason}"
        return ""

    def _reason_of_import(self, frames: list[FrameType]) -> str:
        """Return the reason if the error was raised by the module of an imported global."""
        if not frames:
            return ""
        raised_in = str(frames[-1].f_globals.get("__name__")).partition(".")[0]
        for (scope, name), (module, reason) in self.imported.items():
            if module.partition(".")[0] == raised_in and any(
                each.f_globals is registry.namespaces[scope] and name in each.f_code.co_names
                for each in frames
            ):
                return (
                    f"the global {name}, which could not be sent ({reason}), so that the worker "
                    f"has the one that {module} makes in a new process"
                )
        return ""


def _frames_of(error: BaseException) -> list[FrameType]:
    frames = []
    traceback = traceback_of(error)
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def _is_sent(frame: FrameType) -> bool:
    """Whether a frame belongs to a function that the caller has sent."""
    return any(frame.f_globals is contents for contents in registry.namespaces.values())


def error_text(error: BaseException) -> str:
    """Return the type and the text of an error."""
    text, kind, _ = describe(error)
    return f"{kind}: {text}"


def exit_if_forked() -> None:
    """Exit if this process is a child that the user's code has forked."""
    if os.getpid() != _pid:
        os._exit(0)
