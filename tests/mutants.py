"""Mutation testing: changes the core in many small ways, and runs its tests for each change.

Fails if the tests notice fewer than 95 % of the changes. `equivalent_mutants.txt` lists changes
that no test can notice; these do not count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

LEAST_SHARE = 0.95
_EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
# Of the examples that Hypothesis tries otherwise, one in so many.
_EXAMPLES_DIVISOR = "15"
_NOTICED = ("killed", "timeout", "segfault", "caught by type check")


def _mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    environment = {**os.environ, "ENACT_POOL_TEST_EXAMPLES_DIVISOR": _EXAMPLES_DIVISOR}
    done = subprocess.run(command, env=environment, check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout


def _fates() -> dict[str, str]:
    """Return what became of each mutant, by name."""
    fates = {}
    for line in _mutmut("results", "--all", "true").splitlines():
        name, separator, fate = line.strip().partition(": ")
        if separator:
            fates[name] = fate
    return fates


def _equivalent() -> dict[str, str]:
    """Return the listed mutants, and why no test can notice each."""
    lines = _EQUIVALENT.read_text().splitlines()
    pairs = [line.split(": ", 1) for line in lines if line and not line.startswith("#")]
    return dict(pairs)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", default=str(os.cpu_count()), help="at once (default: CPUs)")
    _mutmut("run", "--max-children", parser.parse_args().processes)
    fates, listed = _fates(), _equivalent()
    for name in listed:
        if name not in fates:
            print(f"listed, and no mutant: {name}")
        elif fates[name] in _NOTICED:
            print(f"listed, and noticed: {name}")
    counted = {name: fate for name, fate in fates.items() if name not in listed}
    missed = [name for name, fate in counted.items() if fate not in _NOTICED]
    for name in missed:
        print(f"{counted[name]}: {name}", _mutmut("show", name), sep="\n")
    share = 1 - len(missed) / len(counted)
    print(f"{share:.1%} of {len(counted)} changes are noticed; {len(listed)} cannot be")
    return 0 if share >= LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
