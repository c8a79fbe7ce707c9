"""PyInstaller reads this: all modules of the package, without adapters that nobody imports."""

from PyInstaller.utils.hooks import collect_submodules

_ADAPTERS = ("enact_pool._cli", "enact_pool.joblib", "enact_pool.otel", "enact_pool.timeline")

hiddenimports = collect_submodules("enact_pool", filter=lambda name: not name.startswith(_ADAPTERS))
