"""The caller's registry holds the caller's classes after a result, and a task's is whole too."""

# expect: True hi 1
# expect: Ok(['hi', 'ho'])
# expect: True hi 1
from enact_pool import Pool

HOOKS = []


class Plugin:
    by_name = {}

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        HOOKS.append(cls.__name__)
        Plugin.by_name[cls.__name__] = cls


class Hi(Plugin):
    def say(self):
        return "hi"


class Ho(Plugin):
    def say(self):
        return "ho"


def made(_):
    return Hi()


def said(_):
    return [plugin().say() for plugin in Plugin.by_name.values()]


# --- run ---
table = Plugin.by_name
with Pool(1) as pool:
    for function in (made, said, made):
        output = pool.run_parallel([function], 0)[0].output
        if function is said:
            print(output)
        else:
            same = table["Hi"] is Hi and type(output.unwrap()) is Hi and table is Plugin.by_name
            print(same, table["Hi"]().say(), HOOKS.count("Hi"))
