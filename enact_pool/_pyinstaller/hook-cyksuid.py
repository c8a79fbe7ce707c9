"""PyInstaller reads this: all modules of cyksuid, some of which only compiled code imports."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("cyksuid")
