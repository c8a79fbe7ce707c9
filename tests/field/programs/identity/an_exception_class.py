"""An exception that a call raises does not set its class's attributes back."""

# expect: 7 True ['caller']
from enact_pool import PoolExecutor


class OwnError(Exception):
    count = 0
    seen = []


def fail(_):
    OwnError.count += 100
    raise OwnError("no")


# --- run ---
OwnError.count = 7
OwnError.seen.append("caller")
with PoolExecutor(1) as executor:
    error = executor.submit(fail, 0).exception()
print(OwnError.count, type(error) is OwnError, error.seen)
