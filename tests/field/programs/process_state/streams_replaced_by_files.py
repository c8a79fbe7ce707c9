"""A file in the place of stdout or stderr receives what tasks print, and so does a duplicate."""

# expect: ['from the caller', 'from a task', '']
# expect: ['to stderr', '']
# expect: to a duplicate
import contextlib
import os
import sys

from enact_pool import Pool


def prints(text):
    print(text)


def complains(text):
    print(text, file=sys.stderr)


# --- run ---
with Pool(1) as pool:
    with open("out.txt", "w") as out, contextlib.redirect_stdout(out):
        print("from the caller")
        pool.run_parallel([prints], "from a task")
    with open("out.txt") as out:
        print(out.read().split("\n"))
    with open("err.txt", "w") as err, contextlib.redirect_stderr(err):
        pool.run_parallel([complains], "to stderr")
    with open("err.txt") as err:
        print(err.read().split("\n"), flush=True)
    with os.fdopen(os.dup(1), "w") as duplicate, contextlib.redirect_stdout(duplicate):
        pool.run_parallel([prints], "to a duplicate")
