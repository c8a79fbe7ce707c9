"""A default pool that was closed is made anew by the next run."""

# expect: [Ok(1)]
# expect: [Ok(2)]
# expect: [Ok(3)]
# expect: True
# ways: -c stdin
import os

from enact_pool import default_pool, map_parallel, run_parallel


def process(_):
    return os.getpid()


print([r.output for r in map_parallel(abs, [-1])])
first = run_parallel([process], 0)[0].output.unwrap()
default_pool().close()
print([r.output for r in map_parallel(abs, [-2])])
default_pool().close()
default_pool().close()
print([r.output for r in map_parallel(abs, [-3])])
print(run_parallel([process], 0)[0].output.unwrap() != first)
