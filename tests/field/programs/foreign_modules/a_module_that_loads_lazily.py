"""A module that the import system executes when it is first used."""

# expect: 7
# expect: 7
import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
Path("lazily.py").write_text("VALUE = 7\n")
spec = importlib.util.find_spec("lazily")
spec.loader = importlib.util.LazyLoader(spec.loader)
lazily = sys.modules["lazily"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lazily)

from enact_pool import Pool  # noqa: E402 - the module must not be loaded yet

with Pool(1) as pool:
    for _ in range(2):
        print(pool.run_parallel([lambda _: lazily.VALUE], 0)[0].output.unwrap())
