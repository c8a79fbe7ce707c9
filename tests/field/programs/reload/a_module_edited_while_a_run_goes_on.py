"""A module that is edited on disk has one version in a run, also after a worker was replaced."""

# expect: 1 version in 11 values
# expect: 1 crash
import sys
from pathlib import Path

from enact_pool import Pool, map_parallel

SOURCE = """
import os, time

def f(x):
    time.sleep(.05)
    if x == 3:
        os._exit(1)
    return {version!r}
"""
sys.path.insert(0, str(Path.cwd()))
module = Path("edited_module.py")
module.write_text(SOURCE.format(version="old"))
import edited_module  # noqa: E402 - it is written above

with Pool(2) as pool:
    map_parallel(edited_module.f, [0, 1], pool=pool)
    module.write_text(SOURCE.format(version="new, and longer"))
    outputs = [r.output for r in map_parallel(edited_module.f, range(12), pool=pool)]
values = [output.unwrap() for output in outputs if output.is_ok]
print(len(set(values)), "version in", len(values), "values")
print(len(outputs) - len(values), "crash")
