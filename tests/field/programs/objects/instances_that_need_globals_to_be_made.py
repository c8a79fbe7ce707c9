"""What makes an instance may use any global of the script."""

# expect: 300
# expect: ([1, 7], [3, 9], (4, True, True), (8, 10))
# expect: 1
# expect: 1
# expect: 300
# expect: ([1, 7], [3, 9], (4, True, True), (8, 10))
# expect: 300
# ways: -c stdin
import collections
import threading

from enact_pool import Pool, run_parallel

VERSION = 2


class Account:
    def __init__(self, value):
        self.value = value

    def __getstate__(self):
        return {"version": VERSION, "value": self.value}

    def __setstate__(self, state):
        assert state.pop("version") == VERSION
        self.__dict__.update(state)

    def __hash__(self):
        return hash((VERSION, self.value))

    def __eq__(self, other):
        return self.value == other.value


class Store:
    def __init__(self):
        self.entries, self.lock = {}, threading.Lock()

    def __getstate__(self):
        return {"entries": self.entries}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.lock = threading.Lock()


def remake(value):
    return Account(value + BONUS["bonus"])


class Rich(Account):
    def __reduce__(self):
        return remake, (self.value - BONUS["bonus"],)


BONUS = {"bonus": 5}
accounts = [Account(100), Account(200)]
by_name = {"a": Account(1), "b": Rich(7)}
pair = (Account(3), Rich(9))
several = collections.deque([Account(4)]), frozenset([Account(5)]), {Account(6)}
store = Store()


class Holder:
    account = Account(8)


def closure():
    account = Account(10)
    return lambda: account.value


held = closure()


def total(_):
    return sum(account.value for account in accounts)


def kinds(_):
    queue, frozen, some = several
    return (
        [by_name[name].value for name in "ab"],
        [each.value for each in pair],
        (queue[0].value, Account(5) in frozen, Account(6) in some),
        (Holder.account.value, held()),
    )


def stored(key):
    with store.lock:
        store.entries[key] = 1
    return len(store.entries)


# --- run ---
for function in (total, kinds, stored):
    print(run_parallel([function], 0)[0].output.unwrap())
with Pool(1) as pool:
    for function in (stored, total, kinds, total):
        print(pool.run_parallel([function], 0)[0].output.unwrap())
