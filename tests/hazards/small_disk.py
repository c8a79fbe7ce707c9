"""Commands that run where /dev/shm and the temporary folder have room for 1 MB."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

__all__ = ["on_small_disk", "small_disk_refusal"]


def on_small_disk(command: Sequence[str], folder: str) -> list[str]:
    """Return a command that runs `command` where /dev/shm and `folder` have room for 1 MB.

    They are mounted for this command alone, and are unmounted when the command and all
    processes it started have ended. It needs root's rights, and Linux.
    """
    mounts = " && ".join(f'mount -t tmpfs -o size=1m tmpfs "{at}"' for at in ("/dev/shm", "$0"))
    script = f'{mounts} && TMPDIR="$0" exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, folder, *command]


def small_disk_refusal(folder: str) -> str:
    """Return why `on_small_disk` does not work here; empty if it does."""
    try:
        done = subprocess.run(
            on_small_disk(["true"], folder), capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""
