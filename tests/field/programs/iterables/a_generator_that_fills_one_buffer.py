"""An iterable that is read ahead has each item as it was when it was yielded."""

# expect: [0, 1, 2, 3, 4, 5, 6, 7]
# expect: [0, 1, 2, 3, 4, 5, 6, 7]
# expect: [0, 10, 20, 30, 40, 50, 60, 70]
# expect: [0, 10, 20, 30, 40, 50, 60, 70]
from enact_pool import imap_parallel, iter_parallel, map_parallel, run_parallel


class Frame:
    number = None


def frames():
    frame = Frame()
    for frame.number in range(8):
        yield frame


def number_of(frame):
    return frame.number


def values(results):
    return [result.output.unwrap() for result in results]


# --- run ---
print(values(map_parallel(number_of, frames())))
print(values(imap_parallel(number_of, frames())))
print(values(run_parallel((lambda x: x * n for n in range(8)), 10)))
print(values(iter_parallel((lambda x: x * n for n in range(8)), 10)))
