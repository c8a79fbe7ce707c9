"""The caller's enum is whole after members have come back, and its members are as they were."""

# expect: ['RED', 'GREEN', 'CRIMSON'] True True
# expect: {<Level.LOW: 1>: 'low'} low
from enum import Enum, IntEnum

from enact_pool import Pool


class Colour(Enum):
    RED = 1
    GREEN = 2
    CRIMSON = 1


class Level(IntEnum):
    LOW = 1


def members(_):
    Colour.RED.note = "from the worker"
    return list(Colour)


def as_a_key(_):
    return {Level.LOW: "low"}


# --- run ---
red = Colour.RED
with Pool(1) as pool:
    back = pool.run_parallel([members], 0)[0].output.unwrap()
    keyed = pool.run_parallel([as_a_key], 0)[0].output.unwrap()
print(list(Colour.__members__), back == [red, Colour.GREEN], not hasattr(red, "note"))
print(keyed, keyed[Level.LOW])
