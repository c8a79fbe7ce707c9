"""Hazards that damage or change the state of the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.hazards import state_callables
from tests.hazards.hazard import NEIGHBOURS, Hazard, returns
from tests.hazards.neighbours import square, square_unless_changed

__all__ = ["change_hazards", "damage_hazards"]


def damage_hazards() -> list[Hazard]:
    m = state_callables

    def harm(
        name: str,
        title: str,
        harmful: Callable[[Any], Any],
        *,
        starves: bool = False,
        neighbours: Sequence[Callable[[int], int]] = NEIGHBOURS,
    ) -> Hazard:
        return Hazard(
            name, "Damage", title, harmful, returns(), starves=starves, neighbours=neighbours
        )

    return [
        harm("close-all", "closes every descriptor", m.close_every_descriptor),
        harm(
            "reopen-all",
            "closes every descriptor, and opens files under their numbers",
            m.reopen_every_descriptor,
        ),
        harm("write-all", "writes into every descriptor", m.write_into_every_descriptor),
        harm("read-all", "reads every descriptor empty", m.read_every_descriptor),
        harm("truncate-all", "truncates every file it has open", m.truncate_every_descriptor),
        harm("block-all", "makes every pipe blocking", m.make_every_descriptor_blocking),
        harm(
            "take-all",
            "opens files until no descriptor is left",
            m.use_every_descriptor,
            starves=True,
        ),
        harm("close-output", "closes stdout and stderr", m.close_output),
        harm("flood-output", "writes 20 MB to stdout and stderr", m.flood_output),
        harm("break-output", "leaves a stdout that exits when it is flushed", m.break_output),
        harm("unread-output", "leaves text in a stdout that is never read", m.print_to_unread_pipe),
        harm("clear-modules", "clears `sys.modules`", m.clear_modules),
        harm("clear-path", "clears `sys.path`", m.clear_path),
        harm(
            "patch-modules",
            "patches os, pickle, time and threading so that they raise",
            m.patch_modules,
            starves=True,
            neighbours=(square,) * 6,  # which use none of these
        ),
        harm("patch-builtins", "patches `open` and `print` so that they raise", m.patch_builtins),
        harm(
            "low-recursion-limit",
            "sets the lowest possible recursion limit",
            m.lower_recursion_limit,
        ),
        harm("removed-folder", "changes to a folder and removes it", m.remove_own_folder),
        harm("alarm", "leaves an alarm that kills", m.leave_alarm),
        harm("raising-alarm", "leaves alarms that raise", m.leave_alarm_that_raises),
        harm("block-signals", "blocks all signals", m.block_all_signals),
        harm("later-interrupt", "sends SIGINT to its process later", m.interrupt_later),
    ]


def change_hazards() -> list[Hazard]:
    m = state_callables

    def change(what: str, harmful: Callable[[Any], Any]) -> Hazard:
        return Hazard(
            f"change-{what.replace(' ', '-')}",
            "State that the next callable finds",
            f"changes the {what}",
            harmful,
            returns(),
            neighbours=(square_unless_changed,) * 6,
        )

    return [
        change("folder", m.change_folder),
        change("environment", m.change_environment),
        change("umask", m.change_umask),
        change("signal handlers", m.change_handlers),
        change("recursion limit", m.change_recursion_limit),
        change("timers", m.change_timers),
        change("resource limits", m.change_resource_limits),
    ]
