"""A method whose object has a pool as an attribute works, or is refused by a clear error."""

# expect: pool True
# expect: executor True
# expect: emitter True
# expect: file True
from enact_pool import EventEmitter, Pool, PoolExecutor


class Runner:
    def __init__(self, helpers):
        self.crew = helpers

    def work(self, x):
        return x


def clear(output):
    """Return whether it is right, or an error that names the attribute or its value's type."""
    if output.is_ok:
        return output.unwrap() == 1 or output
    return any(word in output.error for word in ("crew", "Pool", "EventEmitter", "file")) or output


with Pool(1) as pool:
    print("pool", clear(pool.run_parallel([Runner(pool).work], 1)[0].output))
    with PoolExecutor(1) as executor:
        print("executor", clear(pool.run_parallel([Runner(executor).work], 1)[0].output))
    print("emitter", clear(pool.run_parallel([Runner(EventEmitter()).work], 1)[0].output))
    with open("some.txt", "w") as file:
        print("file", clear(pool.run_parallel([Runner(file).work], 1)[0].output))
