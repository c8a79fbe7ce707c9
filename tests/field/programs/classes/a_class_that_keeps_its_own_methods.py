"""An instance whose class keeps one of its own class methods can be an argument of a call."""

# expect: A made by A
# expect: ['A', 'A']
# expect: Ok('A')
from enact_pool import Pool, PoolExecutor


class A:
    @classmethod
    def make(cls):
        return cls()

    @staticmethod
    def text():
        return "made by A"


A.makers = {"make": A.make, "text": A.text}


def name(a):
    return f"{type(a.makers['make']()).__name__} {a.makers['text']()}"


def type_name(a, *, other=None):
    return type(a).__name__


# --- run ---
with PoolExecutor(1) as executor:
    print(executor.submit(name, A()).result())
    print(list(executor.map(type_name, [A(), A()])))
with Pool(1) as pool:
    print(pool.run_parallel([type_name], A())[0].output)
