"""What an initializer of the script registers in its worker holds for all tasks there."""

# expect: ['a', 'b']
# expect: b'cba' 1.5
# expect: executor ['a', 'b']
import codecs
import copyreg
import sqlite3
import types
from fractions import Fraction

from enact_pool import Pool, PoolExecutor


def reduce_generator(generator):
    return iter, (list(generator),)


def search(name):
    if name == "turned":
        return codecs.CodecInfo(lambda t, e="": (t[::-1].encode(), len(t)), None, name="turned")
    return None


def register():
    copyreg.pickle(types.GeneratorType, reduce_generator)
    codecs.register(search)
    sqlite3.register_adapter(Fraction, float)


def generate(text):
    return (c for c in text)


def use(_):
    connection = sqlite3.connect(":memory:")
    try:
        (stored,) = connection.execute("select ?", [Fraction(3, 2)]).fetchone()
    finally:
        connection.close()
    return codecs.encode("abc", "turned"), stored


# --- run ---
with Pool(1, initializer=register) as pool:
    print(list(pool.run_parallel([generate], "ab")[0].output.unwrap()))
    print(*pool.run_parallel([use], 0)[0].output.unwrap())
with PoolExecutor(1, initializer=register) as executor:
    print("executor", list(executor.submit(generate, "ab").result()))
