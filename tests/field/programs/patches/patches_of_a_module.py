"""Patches of a module of the program hold for its functions in tasks, for as long as here."""

# expect: ('patched', 1)
# expect: ('real', 1)
# expect: ('real', 5) executor ('real', 5)
# expect: ('real', 1)
import sys
from pathlib import Path
from unittest import mock

from enact_pool import Pool, PoolExecutor

sys.path.insert(0, str(Path.cwd()))
Path("patched_module.py").write_text(
    """
LIMIT = 1
class Imported:
    def get(self): return "real"
def imported(_): return Imported().get(), LIMIT
"""
)
import patched_module  # noqa: E402 - it is written above

with Pool(1) as pool, PoolExecutor(1) as executor:

    def run():
        return pool.run_parallel([patched_module.imported], 0)[0].output.unwrap()

    with mock.patch.object(patched_module.Imported, "get", lambda self: "patched"):
        print(run())
    print(run())
    with mock.patch("patched_module.LIMIT", 5):
        print(run(), "executor", executor.submit(patched_module.imported, 0).result())
    print(run())
