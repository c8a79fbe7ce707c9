"""A class made with keywords for `__init_subclass__` works in a task, as input and as result."""

# expect: True
# expect: Ok('a')
# expect: {'a': ['A'], 'b': ['B']} 2
# expect: Ok(({'a': ['A'], 'b': ['B']}, ['a', 'b', 'z']))
# expect: {'a': ['A'], 'b': ['B']} 2
# ways: -c stdin
from enact_pool import Pool

CALLS = []


class Base:
    seen = {}

    def __init_subclass__(cls, key, **keywords):
        super().__init_subclass__(**keywords)
        CALLS.append(key)
        cls.key = key
        Base.seen.setdefault(key, []).append(cls)


class A(Base, key="a"):
    pass


class B(Base, key="b"):
    pass


def names():
    return {key: [c.__name__ for c in classes] for key, classes in Base.seen.items()}


def made(_):
    return A()


def key(instance):
    return instance.key


def another(_):
    before = names()

    class Z(Base, key="z"):
        pass

    return before, sorted(Base.seen)


# --- run ---
with Pool(1) as pool:
    print(type(pool.run_parallel([made], 0)[0].output.unwrap()) is A)
    print(pool.run_parallel([key], A())[0].output)
    print(names(), len(CALLS))
    print(pool.run_parallel([another], 0)[0].output)
print(names(), len(CALLS))
