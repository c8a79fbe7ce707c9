import functools
import operator

from variation_checks import equals, instance

from enact_pool import Pool, PoolExecutor, map_parallel


class Both:
    name = "both"

    def __call__(self, *arguments):
        return "called"

    def run(self, x):
        return "ran"


class OnlyCall:
    def __call__(self, x):
        return "called"


class OnlyRun:
    name = "only run"

    def run(self, x):
        return f"ran {x}"


class Inherits(Both):
    pass


class NamedByMethod:
    def name(self):
        return "by method"

    def run(self, x):
        return "ran"


class Slotted:
    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n

    def __call__(self, x):
        return self.n + x


class WithState:
    def __init__(self):
        self.calls = 0
        self.helper = lambda x: x + 1

    def count(self, x):
        self.calls += 1
        return self.helper(self.calls)


def function(x):
    return "function"


function.run = "an attribute"
with_state = WithState()


def outcome(callable_, given):
    (result,) = map_parallel(callable_, [given], pool=pool)
    return result.output.unwrap()


with Pool(1) as pool, PoolExecutor(1) as executor:
    found = [
        [result.output.unwrap(), result.agent_name]
        for one in (Both(), OnlyCall(), OnlyRun(), Inherits(), NamedByMethod(), function)
        for result in [*pool.run_parallel([one], 1), *map_parallel(one, [1], pool=pool)]
    ]
    called = [
        executor.submit(one, 1).result() for one in (Both(), OnlyCall(), Inherits(), function)
    ]
    others = [
        outcome(one, 1)
        for one in (
            Slotted(2),
            functools.partial(operator.add, 3),
            operator.neg,
            Slotted(4).__call__,
        )
    ]
    states = [outcome(with_state.count, 0) for _ in range(2)]

both, call, run = ["ran", "both"], ["called", "OnlyCall"], ["ran 1", "only run"]
named, plain = ["ran", "by method"], ["function", "function"]
equals(
    lambda _: found, [*[both] * 2, *[call] * 2, *[run] * 2, *[both] * 2, *[named] * 2, *[plain] * 2]
)
equals(lambda _: called, ["called", "called", "called", "function"])
equals(lambda _: others, [3, 4, -1, 5])
equals(lambda _: states, [2, 2])
assert with_state.calls == 0
instance(lambda _: with_state, WithState)
instance(lambda _: Both(), Both)
