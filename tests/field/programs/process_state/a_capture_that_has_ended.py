"""Tasks print to where the caller's stdout goes when the run begins."""

# expect: from a task
# expect: Ok(None)
# expect: an error from a task
# expect: captured b'from a task\n'
import os
import sys

from enact_pool import Pool, map_parallel


def say(_):
    print("from a task", flush=True)


def complain(_):
    print("an error from a task", file=sys.stderr, flush=True)


kept = os.dup(1)
reader, writer = os.pipe()
os.dup2(writer, 1)  # as pytest's capfd, a notebook or a daemon does
os.close(writer)
with Pool(1) as pool:
    map_parallel(say, [0], pool=pool)
    os.dup2(kept, 1)
    captured = os.read(reader, 100)
    os.close(reader)
    print(map_parallel(say, [0], pool=pool)[0].output, flush=True)
    kept_errors = os.dup(2)
    os.dup2(1, 2)
    map_parallel(complain, [0], pool=pool)
    os.dup2(kept_errors, 2)
print("captured", captured)
