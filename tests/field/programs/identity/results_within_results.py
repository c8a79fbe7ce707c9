"""Objects deep inside a result, and its exceptions, are of the caller's own classes."""

# expect: True True True
# expect: True ('bad', 7)
# expect: 3
from enact_pool import Pool, PoolExecutor


class Counter:
    made = 3

    def __init__(self, n):
        self.n = n


class CounterError(Exception):
    def __init__(self, text, code):
        super().__init__(text, code)


def nested(n):
    return {"a": [Counter(n)], Counter: (Counter(n), {"b": CounterError("x", 1)})}


def failing(_):
    raise CounterError("bad", 7)


# --- run ---
with Pool(1) as pool:
    value = pool.run_parallel([nested], 1)[0].output.unwrap()
print(
    type(value["a"][0]) is Counter,
    type(value[Counter][0]) is Counter,
    type(value[Counter][1]["b"]) is CounterError,
)
with PoolExecutor(1) as executor:
    error = executor.submit(failing, 0).exception()
print(type(error) is CounterError, error.args)
print(Counter.made)
