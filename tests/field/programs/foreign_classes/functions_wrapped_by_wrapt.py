"""Functions, methods and objects in proxies of wrapt, which refuse to be pickled."""

# expect: ('decorated', 2)
# expect: ('decorated', 3)
# expect: ('decorated', 4)
# expect: [1, 2]
# needs: wrapt
import wrapt

from enact_pool import Pool


@wrapt.decorator
def decorated(wrapped, instance, arguments, keywords):
    return "decorated", wrapped(*arguments, **keywords)


@decorated
def one(n):
    return n + OFFSET


class Service:
    @decorated
    def method(self, n):
        return n + 2

    @decorated
    @classmethod
    def of_class(cls, n):
        return n + 3


OFFSET = 1
proxy = wrapt.ObjectProxy([1, 2])


def use_method(n):
    return Service().method(n)


def use_class(n):
    return Service.of_class(n)


def use_proxy(_):
    return list(proxy)


# --- run ---
with Pool(1) as pool:
    for function in (lambda n: one(n), use_method, use_class, use_proxy):
        print(pool.run_parallel([function], 1)[0].output.unwrap())
