"""Output follows a redirection that begins between two runs, and the next one too."""

# expect: to the first place
# expect: first.txt: ['to a file', 'by C']
# expect: second.txt: ['to another file']
# expect: back
import os
import subprocess

from enact_pool import Pool, PoolExecutor


def say(text):
    print(text, flush=True)


def echo(text):
    subprocess.run(["echo", text], check=True)


def redirect(name):
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.close(descriptor)


kept = os.dup(1)
with Pool(1) as pool, PoolExecutor(1) as executor:
    pool.run_parallel([say], "to the first place")
    executor.submit(abs, 1).result()
    redirect("first.txt")
    pool.run_parallel([say], "to a file")
    pool.run_parallel([echo], "by C")
    redirect("second.txt")
    executor.submit(say, "to another file").result()
    os.dup2(kept, 1)
    for name in ("first.txt", "second.txt"):
        with open(name) as file:
            print(f"{name}: {file.read().splitlines()}", flush=True)
    executor.submit(say, "back").result()
