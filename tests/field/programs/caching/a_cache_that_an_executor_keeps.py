"""What one call of an executor has cached, the next one finds."""

# expect: 1 computed for 6 calls
# expect: 0 in the caller
from functools import cache

from enact_pool import PoolExecutor

COMPUTED = []


@cache
def expensive(key):
    COMPUTED.append(key)
    return key.upper()


def ask(_):
    expensive("key")
    return len(COMPUTED)


# --- run ---
with PoolExecutor(1) as executor:
    print(max(executor.map(ask, range(6))), "computed for 6 calls")
print(len(COMPUTED), "in the caller")
