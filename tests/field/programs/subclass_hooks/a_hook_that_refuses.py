"""A hook that refuses to see a class twice does not keep its subclasses from tasks."""

# expect: True
# expect: Ok(('bad', True))
# expect: ['Parser', 'OwnError']
from enact_pool import Pool

registered = {}


class Registered:
    def __init_subclass__(cls, **keywords):
        assert cls.__name__ not in registered, f"{cls.__name__} is registered already"
        registered[cls.__name__] = cls


class Parser(Registered):
    pass


class OwnError(Registered, Exception):
    pass


def made(_):
    return Parser()


def raised(_):
    try:
        raise OwnError("bad")
    except registered["OwnError"] as error:
        return error.args[0], isinstance(error, Exception)


# --- run ---
with Pool(1) as pool:
    print(type(pool.run_parallel([made], 0)[0].output.unwrap()) is Parser)
    print(pool.run_parallel([raised], 0)[0].output)
print(list(registered))
