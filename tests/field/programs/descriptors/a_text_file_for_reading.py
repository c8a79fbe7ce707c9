"""A text file that is open is refused, not read to its end and sent as a copy."""

# expect: input True
# expect: in a list True
# expect: executor True
# expect: captured True
# expect: global True
# expect: the file is at 3, and has not been read
from pathlib import Path

from enact_pool import Pool, PoolExecutor

Path("log.txt").write_text("x" * 1000)
HANDLE = open("log.txt")
HANDLE.read(3)


def length(handle):
    return len(handle.read())


def length_in_a_list(handles):
    return len(handles[0].read())


def capturing(handle):
    def captured(_):
        return len(handle.read())

    return captured


def length_of_global(_):
    return len(HANDLE.read())


def refused(output):
    return (
        not output.is_ok and ("file" in output.error or "TextIOWrapper" in output.error)
    ) or output


with Pool(1) as pool:
    print("input", refused(pool.run_parallel([length], HANDLE)[0].output))
    print("in a list", refused(pool.run_parallel([length_in_a_list], [HANDLE])[0].output))
    with PoolExecutor(1) as executor:
        error = executor.submit(length, HANDLE).exception()
    print("executor", "file" in str(error) or "TextIOWrapper" in str(error) or error)
    print("captured", refused(pool.run_parallel([capturing(HANDLE)], 0)[0].output))
    output = pool.run_parallel([length_of_global], 0)[0].output
    print("global", (not output.is_ok and "HANDLE" in output.error) or output)
print(f"the file is at {HANDLE.tell()}, and has", "not been read" * (HANDLE.tell() == 3))
HANDLE.close()
