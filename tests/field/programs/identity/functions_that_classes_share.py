"""A global function that is an attribute of classes, too, is returned as the caller's own."""

# expect: [True, True, True, True]
# expect: [True, True, True, True]
from enact_pool import Pool


def scaled(number):
    return 2 * number


class First:
    scale = staticmethod(scaled)


class Second:
    rule = scaled
    scale = First.scale


def get_classes(_):
    return First, Second


def get_function(_):
    return scaled


def get_attribute(_):
    return Second.rule


def get_static(_):
    return Second.scale


# --- run ---
with Pool(1) as pool:
    for functions in (
        [get_classes, get_function, get_attribute, get_static],
        [get_static, get_attribute, get_function, get_classes],
    ):
        values = {
            function: outcome.output.unwrap()
            for function, outcome in zip(functions, pool.run_parallel(functions, None), strict=True)
        }
        own = [values[get] is scaled for get in (get_function, get_attribute, get_static)]
        print([values[get_classes] == (First, Second), *own])
