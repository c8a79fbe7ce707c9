"""A module that is edited, used, and reloaded only then, is what the caller has at each step."""

# expect: ['old', 'old', 'old']
# expect: ['old', 'old', 'old']
# expect: ['new, and longer', 'new, and longer', 'new, and longer']
# expect: ['new, and longer', 'new, and longer', 'new, and longer']
# expect: True
import importlib
import sys
from pathlib import Path

from enact_pool import Pool, map_parallel

SOURCE = """
version = {version!r}

class Thing:
    version = version

def f(x):
    return version

def thing(x):
    return Thing()
"""
sys.path.insert(0, str(Path.cwd()))
module = Path("edited_and_reloaded.py")
module.write_text(SOURCE.format(version="old"))
import edited_and_reloaded  # noqa: E402 - it is written above


def values(pool):
    return [r.output.unwrap() for r in map_parallel(edited_and_reloaded.f, range(3), pool=pool)]


with Pool(2) as pool:
    print(values(pool))
    module.write_text(SOURCE.format(version="new, and longer"))
    print(values(pool))
    importlib.reload(edited_and_reloaded)
    print(values(pool))
    with Pool(2) as another:
        print(values(another))
    thing = pool.run_parallel([edited_and_reloaded.thing], 0)[0].output.unwrap()
    print(type(thing) is edited_and_reloaded.Thing)
