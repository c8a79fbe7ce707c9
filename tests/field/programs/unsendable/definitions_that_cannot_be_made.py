"""The error names the definition that cannot be made in a worker, and the reason."""

# expect: needs itself: True
# expect: the class of an attribute: True
# expect: again: True
import importlib

from enact_pool import Pool


class Named:
    """An object that is pickled by the name of its module and global."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return find, ("__main__:" + self.name,)


def find(place):
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


named = Named("named")


class Strict:
    def __setstate__(self, state):
        raise ValueError("only here")

    def __getstate__(self):
        return {"n": 1}


class Holder:
    value = [Strict()]


holder = Holder()


def error_of(function):
    with Pool(1) as pool:
        return pool.run_parallel([function], 0)[0].output.error


def check(error, *parts):
    return all(part in error for part in (*parts, "initializer")) or error


print("needs itself:", check(error_of(lambda _: named), "named needs named"))
error = error_of(lambda _: Holder.value)
print("the class of an attribute:", check(error, "Holder", "only here"))
print("again:", check(error_of(lambda _: (named, holder)), "named needs named"))
