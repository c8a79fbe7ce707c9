"""The module `__main__` of a task is the script: its names, its file, its classes."""

# expect: file True
# expect: name __main__
# expect: config {'a': 1}
# expect: class True
# expect: by name True
# expect: arguments True
import importlib
import sys

from enact_pool import Pool

CONFIG = {"a": 1}


class Here:
    pass


def file(_):
    return sys.modules["__main__"].__file__


def config(_):
    import __main__

    return __main__.CONFIG


def here(_):
    return importlib.import_module("__main__").Here is Here


def by_name(name):
    return getattr(sys.modules["__main__"], name)


with Pool(1) as pool:

    def run(function, given=None):
        return pool.run_parallel([function], given)[0].output.unwrap()

    print("file", run(file) == __file__)
    print("name", run(lambda _: __name__))
    print("config", run(config))
    print("class", run(here))
    print("by name", run(by_name, "Here") is Here)
    print("arguments", run(lambda _: sys.argv) == sys.argv)
