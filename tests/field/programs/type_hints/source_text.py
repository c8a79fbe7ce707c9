"""A task finds the source of the script's classes and functions."""

# expect: Ok('class Described:')
# expect: Ok('def described(_):')
# expect: Ok('    def method(self):')
# expect: Ok('A class that has a text.')
import inspect

from enact_pool import Pool


class Described:
    """A class that has a text."""

    def method(self):
        return 1


def described(_):
    return inspect.getsource(Described).splitlines()[0]


def of_a_function(_):
    return inspect.getsource(described).splitlines()[0]


def of_a_method(_):
    return inspect.getsource(Described.method).splitlines()[0]


def text(_):
    return inspect.getdoc(Described)


# --- run ---
with Pool(1) as pool:
    for function in (described, of_a_function, of_a_method, text):
        print(pool.run_parallel([function], 0)[0].output)
