"""The layout of the package: how long modules are, and how many levels of packages there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "enact_pool"
LONG_LINES = 300
# The spawner names the module that workers run, which does not make it depend on the worker.
SPAWNED = {"_lanes": {"_worker"}}


def long_modules() -> dict[str, str]:
    """Return the reasons why modules are long, by their paths."""
    lines = (ROOT / "tests" / "long_modules.txt").read_text().splitlines()
    reasons = (line.partition(": ") for line in lines if not line.startswith("#"))
    return {path: reason for path, _, reason in reasons}


def test_long_modules_are_listed_with_a_reason() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if len(path.read_text().splitlines()) > LONG_LINES
    }
    reasons = long_modules()
    assert found == set(reasons)
    assert len(reasons) <= 5
    assert all(reasons.values())


def package_imports() -> dict[str, set[str]]:
    """Return which packages each package imports, at its own import or later."""
    imports: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        package = path.relative_to(PACKAGE).parts[0]
        if package.endswith(".py"):
            continue
        names = imports.setdefault(package, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names.update(re.findall(r"^enact_pool\.(\w+)", node.module))
        names -= {package} | SPAWNED.get(package, set())
    return imports


def test_packages_have_at_most_nine_levels() -> None:
    imports = package_imports()

    @cache
    def level(package: str) -> int:
        return 1 + max(map(level, imports[package]), default=0)

    levels = {package: level(package) for package in imports}
    assert max(levels.values()) <= 9, levels
