"""A global that cannot be sent is an error where it is used, and the error names it."""

# expect: OUT named: True
# expect: CONNECTION named: True
# expect: NUMBERS named: True
# expect: OUT named: True
# expect: executor OUT named: True
# expect: the file holds 'kept'
# expect: a lock as an input: Err
import sqlite3
import threading

from enact_pool import Pool, PoolExecutor

OUT = open("out.txt", "w+")
OUT.write("kept")
OUT.flush()
CONNECTION = sqlite3.connect(":memory:")
NUMBERS = (n for n in range(3))


def write(_):
    OUT.write("x")


def ask(_):
    return CONNECTION.execute("select 1").fetchone()


def take(_):
    return next(NUMBERS)


def through_another(_):
    return write(0)


def same(value):
    return value


with Pool(1) as pool:
    for name, function in [
        ("OUT", write),
        ("CONNECTION", ask),
        ("NUMBERS", take),
        ("OUT", through_another),
    ]:
        output = pool.run_parallel([function], 0)[0].output
        print(name, "named:", (not output.is_ok and name in output.error) or output)
    with PoolExecutor(1) as executor:
        error = executor.submit(write, 0).exception()
    print("executor OUT named:", "OUT" in str(error) or error)
    OUT.seek(0)
    print("the file holds", repr(OUT.read()))
    output = pool.run_parallel([same], threading.Lock())[0].output
    print("a lock as an input:", type(output).__name__)
OUT.close()
CONNECTION.close()
