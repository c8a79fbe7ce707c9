"""A class that gets other bases has them in tasks too."""

# expect: Ok('first')
# expect: Ok('second')
# expect: Ok(True)
# expect: Ok('first')
from enact_pool import Pool


class First:
    def which(self):
        return "first"


class Second:
    def which(self):
        return "second"


class Heir(First):
    pass


def which(_):
    return Heir().which()


def is_second(_):
    return issubclass(Heir, Second)


# In a module of its own, changes by the caller would not be seen.
with Pool(1) as pool:
    print(pool.run_parallel([which], 0)[0].output)
    Heir.__bases__ = (Second,)
    print(pool.run_parallel([which], 0)[0].output)
    print(pool.run_parallel([is_second], 0)[0].output)
    Heir.__bases__ = (First,)
    print(pool.run_parallel([which], 0)[0].output)
