"""A script's context variable can be read, set and reset in a task."""

# expect: Ok('default')
# expect: Ok(['default', 'set', 'default'])
# expect: Ok('LookupError')
# expect: executor default
# expect: Ok('in a copied context')
# expect: caller default
# ways: -c stdin
import contextvars

from enact_pool import Pool, PoolExecutor

VARIABLE = contextvars.ContextVar("variable", default="default")
BARE = contextvars.ContextVar("bare")


def get(_):
    return VARIABLE.get()


def set_and_reset(_):
    before = VARIABLE.get()
    token = VARIABLE.set("set")
    between = VARIABLE.get()
    VARIABLE.reset(token)
    return [before, between, VARIABLE.get()]


def bare(_):
    try:
        return BARE.get()
    except LookupError as error:
        return type(error).__name__


def in_a_context(text):
    context = contextvars.copy_context()
    context.run(VARIABLE.set, text)
    return context.run(get, 0)


# --- run ---
with Pool(1) as pool:
    for function in (get, set_and_reset, bare):
        print(pool.run_parallel([function], 0)[0].output)
    with PoolExecutor(1) as executor:
        print("executor", executor.submit(get, 0).result())
    print(pool.run_parallel([in_a_context], "in a copied context")[0].output)
print("caller", VARIABLE.get())
