"""Each run, and each call, has the attributes of when it began, beside later ones."""

# expect: [1] {2}
# expect: [(0, 0), (1, 1), (2, 2)]
import os
import threading

from enact_pool import Pool, PoolExecutor, imap_parallel


class Settings:
    value = 1


def read(number):
    return Settings.value


def read_for(number):
    return number, Settings.value


def end(number):
    os._exit(number)


with Pool(2) as pool:
    begun = imap_parallel(read, iter(range(200)), pool=pool)
    values = {next(begun).output.unwrap()}
    Settings.value = 2
    later = set()

    def others():
        for _ in range(20):
            later.add(pool.run_parallel([read], 0)[0].output.unwrap())

    thread = threading.Thread(target=others)
    thread.start()
    values.update(result.output.unwrap() for result in begun)
    thread.join()
print(sorted(values), later)
with PoolExecutor(2) as executor:
    futures = []
    for Settings.value in range(3):
        futures += [executor.submit(read_for, Settings.value) for _ in range(50)]
        executor.submit(end, 1)
        futures += [executor.submit(read_for, Settings.value) for _ in range(50)]
    print(sorted({future.result() for future in futures if future.exception() is None}))
