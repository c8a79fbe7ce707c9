"""All tasks of a run see the folder that the caller is in when the run begins."""

# expect: Ok(('old', None))
# expect: Counter({('new', 'new'): 6})
# expect: Ok('text')
# expect: executor ('new', 'new')
# expect: back Ok(('old', None))
# ways: -c stdin
import collections
import os
import time
from pathlib import Path

from enact_pool import PoolExecutor, map_parallel


def look(_):
    time.sleep(0.05)
    return os.path.basename(os.getcwd()), os.environ.get("MODE_OF_THIS")


def read(name):
    return Path(name).read_text()


for folder in ("old", "new"):
    Path(folder).mkdir()
os.chdir("old")
with PoolExecutor(1) as executor:
    executor.submit(look, 0).result()
    print(map_parallel(look, [0])[0].output)
    os.chdir("../new")
    os.environ["MODE_OF_THIS"] = "new"
    print(collections.Counter(r.output.unwrap() for r in map_parallel(look, range(6))))
    Path("data.txt").write_text("text")
    print(map_parallel(read, ["data.txt"])[0].output)
    print("executor", executor.submit(look, 0).result())
os.chdir("../old")
del os.environ["MODE_OF_THIS"]
print("back", map_parallel(look, [0])[0].output)
