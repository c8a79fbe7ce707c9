"""A result that arrives does not set its class's attributes back."""

# expect: map_parallel: opened 4, the same list True
# expect: executor: opened 14, the same list True
# ways: -c stdin
import time
from pathlib import Path

from enact_pool import Pool, PoolExecutor, map_parallel

GO = Path("go")


class Account:
    opened = 0
    names = []

    def __init__(self, n):
        self.n = n
        Account.opened += 1


def load(n):
    while not GO.exists():
        time.sleep(0.01)
    return Account(n)


# --- run ---
names = Account.names
for i in range(4):
    Account(i)
GO.touch()
with Pool(1) as pool:
    map_parallel(load, [1], pool=pool)
print(f"map_parallel: opened {Account.opened}, the same list {Account.names is names}")
GO.unlink()
with PoolExecutor(1) as executor:
    future = executor.submit(load, 1)
    for i in range(10):
        Account(i)
    GO.touch()
    future.result()
print(f"executor: opened {Account.opened}, the same list {Account.names is names}")
