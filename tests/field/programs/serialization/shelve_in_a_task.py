"""A task can store objects of the script's classes on a shelf, and take them from it."""

# expect: Ok(['a', 'b'])
# expect: True 2
import shelve

from enact_pool import Pool


class Item:
    def __init__(self, n):
        self.n = n


def store(_):
    with shelve.open("shelf") as shelf:
        shelf["a"] = Item(1)
        shelf["b"] = {"deep": [Item(2)]}
        return sorted(shelf)


def take(key):
    with shelve.open("shelf") as shelf:
        return shelf[key]


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([store], 0)[0].output)
    (item,) = pool.run_parallel([take], "b")[0].output.unwrap()["deep"]
print(type(item) is Item, item.n)
