"""An enum that cannot be sent makes no other enum fail."""

# expect: False
# expect: Ok('red')
import sqlite3
from enum import Enum

from enact_pool import Pool


class Connections(Enum):
    MEMORY = sqlite3.connect(":memory:")


class Colour(Enum):
    RED = "red"


def connection(_):
    return Connections.MEMORY.value.execute("select 1").fetchone()


def colour(_):
    return Colour.RED.value


with Pool(1) as pool:
    print(pool.run_parallel([connection], 0)[0].output.is_ok)
    print(pool.run_parallel([colour], 0)[0].output)
