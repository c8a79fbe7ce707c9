"""The locale of a task is the caller's."""

# expect: True
# expect: executor True
# expect: back True
import locale

from enact_pool import Pool, PoolExecutor


def current(_):
    return locale.setlocale(locale.LC_NUMERIC), locale.setlocale(locale.LC_TIME)


with Pool(1) as pool, PoolExecutor(1) as executor:
    pool.run_parallel([abs], 1)
    for name in ("C.UTF-8", "en_US.UTF-8"):
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        break
    print(pool.run_parallel([current], 0)[0].output.unwrap() == current(0))
    print("executor", executor.submit(current, 0).result() == current(0))
    locale.setlocale(locale.LC_ALL, "C")
    print("back", pool.run_parallel([current], 0)[0].output.unwrap() == current(0) == ("C", "C"))
