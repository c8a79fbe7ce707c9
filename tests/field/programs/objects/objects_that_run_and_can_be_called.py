"""A run uses an object's `run`, an executor calls it; functions and classes are called."""

# expect: [Ok('ran'), Ok('ran')]
# expect: Ok('ran')
# expect: executor called
# expect: [Ok('function'), Ok('made')]
# expect: ['named', 'function', 'Made']
from enact_pool import Pool, PoolExecutor, map_parallel


class Pipe:
    name = "named"

    def __call__(self, x):
        return "called"

    def run(self, x):
        return "ran"


def function(x):
    return "function"


function.run = lambda x: "not this"


class Made:
    def __init__(self, x):
        self.x = x

    def __repr__(self):
        return "'made'"

    def run(self, x):
        return "not this"


# --- run ---
with Pool(1) as pool:
    print([result.output for result in map_parallel(Pipe(), [1, 2], pool=pool)])
    print(pool.run_parallel([Pipe()], 1)[0].output)
    with PoolExecutor(1) as executor:
        print("executor", executor.submit(Pipe(), 1).result())
    print([result.output for result in pool.run_parallel([function, Made], 1)])
    print([result.agent_name for result in pool.run_parallel([Pipe(), function, Made], 1)])
