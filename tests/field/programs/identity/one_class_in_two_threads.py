"""Threads that use a class for the first time at once get instances of that one class."""

# expect: True 40
# expect: 40
from threading import Barrier, Thread

from enact_pool import Pool


def make_class(number):
    class Local:
        seen = []

        def __init__(self, value):
            self.value = value

    Local.__qualname__ = f"Local{number}"
    globals()[f"Local{number}"] = Local
    return Local


CLASSES = [make_class(number) for number in range(20)]


def made(arguments):
    cls, value = arguments
    return cls(value)


with Pool(2) as pool:
    results = []
    for cls in CLASSES:
        barrier = Barrier(2)

        def run(value, cls=cls, barrier=barrier):
            barrier.wait()
            (result,) = pool.run_parallel([made], (cls, value))
            results.append((cls, result.output.unwrap()))

        threads = [Thread(target=run, args=(value,)) for value in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(all(type(made) is cls for cls, made in results), len(results))
    print(len({(id(cls), made.value) for cls, made in results}))
