"""Weak containers of a script work in its tasks; one of classes has the classes in it."""

# expect: Ok(['A', 'B'])
# expect: Ok('made x')
# expect: Ok(1)
# expect: 0 0
import weakref

from enact_pool import Pool

CLASSES = weakref.WeakSet()
CACHE = weakref.WeakValueDictionary()
SIZES = weakref.WeakKeyDictionary()


class Value:
    def __init__(self, text):
        self.text = text


def registered(cls):
    CLASSES.add(cls)
    return cls


@registered
class A:
    pass


@registered
class B:
    pass


def names(_):
    return sorted(cls.__name__ for cls in CLASSES)


def cached(key):
    value = CACHE.get(key)
    if value is None:
        value = CACHE[key] = Value(f"made {key}")
    return CACHE[key].text


def sized(_):
    value = Value("x")
    SIZES[value] = 1
    return len(SIZES)


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([names], 0)[0].output)
    print(pool.run_parallel([cached], "x")[0].output)
    print(pool.run_parallel([sized], 0)[0].output)
print(len(CACHE), len(SIZES))
