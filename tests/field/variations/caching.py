import functools

from variation_checks import equals, instance, own, same


@functools.lru_cache(maxsize=None, typed=True)
def typed(x):
    return type(x).__name__


@functools.cache
def even(n):
    return n == 0 or odd(n - 1)


@functools.cache
def odd(n):
    return n != 0 and even(n - 1)


def by_hand(function):
    known = {}

    @functools.wraps(function)
    def inner(x):
        if x not in known:
            known[x] = function(x)
        return known[x]

    inner.known = known
    return inner


@by_hand
def square(x):
    return x * x


class Slotted:
    __slots__ = ("n", "__weakref__")

    def __init__(self, n):
        self.n = n

    @functools.lru_cache(maxsize=8)
    def plus(self, x):
        return self.n + x


class Cached:
    @functools.cached_property
    def first(self):
        return [1]

    @functools.cached_property
    def second(self):
        return [*self.first, 2]


class Inherited(Cached):
    @functools.cached_property
    def first(self):
        return [0, *super().first]


alias = typed
partial = functools.partial(typed, 1.5)
table = {"typed": typed, "even": even}


def of_types(_):
    return [typed(1), typed(1.0), typed(True)]


def of_two_that_call_each_other(_):
    return [even(10), odd(7), even(3)]


def cached_by_hand(_):
    return square(4), sorted(square.known)


def of_a_slotted_class(_):
    return Slotted(2).plus(3)


def of_properties(_):
    return Inherited().second, Cached().second


def by_an_alias(_):
    return alias is typed and alias(1)


def by_a_partial(_):
    return partial()


def in_a_table(_):
    return table["typed"] is typed and table["even"](2)


def in_a_default(_, function=typed):
    return function is typed and function("x")


same(of_types, of_two_that_call_each_other, cached_by_hand, of_a_slotted_class, of_properties)
same(by_an_alias, by_a_partial, in_a_table, in_a_default)
own(lambda _: typed, typed)
own(lambda _: square, square)
instance(lambda _: Inherited(), Inherited)


def grown(_):
    size = typed.cache_info().currsize
    typed("new")
    return typed.cache_info().currsize - size


equals(grown, 1)
equals(grown, 0)
