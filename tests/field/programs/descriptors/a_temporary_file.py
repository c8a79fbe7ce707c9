"""The caller's temporary file survives, whatever a task is given of it."""

# expect: there after it was a global: True
# expect: there after it was an input: True
# expect: there after it was an argument: True
# expect: results
# expect: gone when the caller closes it: True
import os
import tempfile

from enact_pool import Pool, PoolExecutor

FILE = tempfile.NamedTemporaryFile("w+")
FILE.write("results")
FILE.flush()
FOLDER = tempfile.TemporaryDirectory()


def use(_):
    return FILE.name, FOLDER.name


def same(_):
    return None


def exist():
    return os.path.exists(FILE.name) and os.path.isdir(FOLDER.name)


with Pool(1) as pool:
    pool.run_parallel([use], 0)
with Pool(1) as pool:
    pool.run_parallel([use], 0)
    print("there after it was a global:", exist())
    pool.run_parallel([same], [FILE])
    print("there after it was an input:", exist())
with PoolExecutor(1) as executor:
    executor.submit(same, FILE).exception()
    executor.submit(use, FOLDER).exception()
print("there after it was an argument:", exist())
FILE.seek(0)
print(FILE.read())
FILE.close()
FOLDER.cleanup()
print("gone when the caller closes it:", not os.path.exists(FILE.name))
