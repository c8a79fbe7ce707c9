"""The entry point of `enact-pool` and `python -m enact_pool`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit; with status 2 if click is not installed."""
    try:
        from enact_pool._cli.command import main
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit(_without_click())
    main()


def _without_click() -> int:
    print("enact-pool needs click: pip install 'enact_pool[cli]'", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
