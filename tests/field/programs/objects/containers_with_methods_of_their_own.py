"""Lists and dicts whose methods need attributes, as globals, as inputs and as results."""

# expect: Ok({'a': 1})
# expect: Ok([1, 2])
# expect: Ok((2, ['a', 'b']))
# expect: Ok({'fixed': 1})
# expect: Ok((1, [2]))
# expect: Ok({'a': 1})
# expect: ({'a': 1, 'new': 2}, ['a', 'new'])
import threading

from enact_pool import Pool, map_parallel


class Locked(dict):
    def __init__(self):
        super().__init__()
        self._lock = threading.Lock()

    def __setitem__(self, key, value):
        with self._lock:
            super().__setitem__(key, value)


class Logged(dict):
    def __init__(self):
        super().__init__()
        self.log = []

    def __setitem__(self, key, value):
        self.log.append(key)
        super().__setitem__(key, value)


class Counting(list):
    def __init__(self):
        super().__init__()
        self.count = 0

    def append(self, item):
        self.count += 1
        super().append(item)

    def extend(self, items):
        for item in items:
            self.append(item)


class ReadOnly(dict):
    def __setitem__(self, key, value):
        raise TypeError("it cannot be changed")


class Slotted(list):
    __slots__ = ("appended",)

    def __init__(self):
        super().__init__()
        self.appended = 0

    def append(self, item):
        self.appended += 1
        super().append(item)


locked = Locked()
locked["a"] = 1
logged = Logged()
logged["a"] = 1
counting = Counting()
counting.append("a")
counting.append("b")
read_only = ReadOnly(fixed=1)
simple = Counting()
simple.extend([1, 2])
slotted = Slotted()
slotted.append(2)


def of_locked(_):
    return dict(locked)


def of_simple(_):
    return list(simple)


def of_counting(_):
    return counting.count, list(counting)


def of_read_only(_):
    return dict(read_only)


def of_slotted(_):
    return slotted.appended, list(slotted)


def items_of(value):
    return dict(value)


def changed(value):
    value["new"] = 2
    return dict(value), value.log


# --- run ---
with Pool(1) as pool:
    for function in (of_locked, of_simple, of_counting, of_read_only, of_slotted):
        print(pool.run_parallel([function], 0)[0].output)
    print(map_parallel(items_of, [logged], pool=pool)[0].output)
    print(map_parallel(changed, [logged], pool=pool)[0].output.unwrap())
