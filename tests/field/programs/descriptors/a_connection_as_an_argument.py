"""A pipe's end that is an argument arrives, or is refused; nothing is sent to elsewhere."""

# expect: executor True
# expect: run True
# expect: the worker's own files: True
import multiprocessing
import sys
from pathlib import Path

from enact_pool import PoolExecutor, map_parallel

sys.path.insert(0, str(Path.cwd()))
Path("open_files.py").write_text(
    "log = []\n"
    "def open_log():\n"
    "    for i in range(4):\n"
    "        log.append(open(f'kept{i}.txt', 'w', buffering=1))\n"
    "        log[-1].write('good\\n')\n"
    "def write(_):\n"
    "    for file in log:\n"
    "        file.write('more\\n')\n"
)
import open_files  # noqa: E402 - it is written above


def report(connection):
    connection.send("half")
    return "sent"


def arrived(end, problem):
    if problem:
        return "pickle" in problem or problem
    return (end.poll(5) and end.recv() == "half") or "sent, but it has not arrived"


pairs = [multiprocessing.Pipe() for _ in range(4)]
with PoolExecutor(1, initializer=open_files.open_log) as executor:
    told = []
    for mine, other in pairs[:3]:
        error = executor.submit(report, other).exception()
        told.append(arrived(mine, str(error or "")))
    print("executor", all(one is True for one in told) or told)
    executor.submit(open_files.write, 0).result()
mine, other = pairs[3]
output = map_parallel(report, [other])[0].output
print("run", arrived(mine, "" if output.is_ok else output.error))
files = [Path(f"kept{i}.txt").read_text() for i in range(4)]
print("the worker's own files:", files == ["good\nmore\n"] * 4 or files)
