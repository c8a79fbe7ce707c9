"""A pool first used in a folder that is gone since goes on in the caller's folder."""

# expect: True
# expect: True
# expect: True
import os
import tempfile
from pathlib import Path

from enact_pool import map_parallel

home = Path.cwd()
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    print(map_parallel(lambda _: os.getcwd(), [0])[0].output.unwrap() == os.getcwd())
    os.chdir(home)
for _ in range(2):
    print(map_parallel(lambda _: os.getcwd(), [0])[0].output.unwrap() == str(home))
