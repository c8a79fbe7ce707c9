"""A task's warnings are ignored, or errors, as the caller has set it."""

# expect: Ok('said')
# expect: executor said
# expect: UserWarning('noise')
# expect: Ok('said')
import warnings

from enact_pool import Pool, PoolExecutor


def warn(_):
    warnings.warn("noise", stacklevel=1)
    return "said"


warnings.simplefilter("ignore")
with Pool(1) as pool, PoolExecutor(1) as executor:
    print(pool.run_parallel([warn], 0)[0].output)
    print("executor", executor.submit(warn, 0).result())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        print(repr(executor.submit(warn, 0).exception()))
    print(pool.run_parallel([warn], 0)[0].output)
