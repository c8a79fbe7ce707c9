"""An object that a script has from a module is that module's own again after a reload."""

# expect: (True, True, 1)
# expect: (True, True, 2)
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
sys.dont_write_bytecode = True
Path("reloaded.py").write_text("MISSING = object()\nTABLE = {'version': 1}\n")
import reloaded  # noqa: E402 - it is written above
from reloaded import MISSING, TABLE  # noqa: E402

from enact_pool import Pool  # noqa: E402


def seen(_):
    return MISSING is reloaded.MISSING, TABLE is reloaded.TABLE, TABLE["version"]


with Pool(1) as pool:
    print(pool.run_parallel([seen], 0)[0].output.unwrap())
    Path("reloaded.py").write_text("MISSING = object()\nTABLE = {'version': 2, 'more': 0}\n")
    importlib.reload(reloaded)
    from reloaded import MISSING, TABLE

    print(pool.run_parallel([seen], 0)[0].output.unwrap())
