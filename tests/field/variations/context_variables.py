import asyncio
import contextlib
import contextvars
import decimal
import threading

from variation_checks import equals, own, same

PLAIN = contextvars.ContextVar("plain")
DEFAULT = contextvars.ContextVar("default", default=("a", 1))
NONE = contextvars.ContextVar("none", default=None)
TABLE = {"plain": PLAIN}


class Request:
    current = contextvars.ContextVar("current", default="no request")

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.token = Request.current.set(self.name)
        return self

    def __exit__(self, *_):
        Request.current.reset(self.token)


class Missing:
    pass


MISSING = Missing()
SENTINEL = contextvars.ContextVar("sentinel", default=MISSING)


@contextlib.contextmanager
def level(n):
    token = NONE.set(n)
    try:
        yield
    finally:
        NONE.reset(token)


def defaults(_):
    return DEFAULT.get(), NONE.get(), PLAIN.get("given"), Request.current.get(), DEFAULT.name


def unset(_):
    try:
        PLAIN.get()
    except LookupError as error:
        return type(error).__name__


def managed(_):
    with Request("one"), level(1):
        inside = Request.current.get(), NONE.get()
    return inside, Request.current.get(), NONE.get()


def in_threads(_):
    seen = []
    NONE.set("task")
    thread = threading.Thread(target=lambda: seen.append(NONE.get()))
    thread.start()
    thread.join()
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(lambda: seen.append(NONE.get()),))
    thread.start()
    thread.join()
    return seen


def in_tasks(_):
    async def child(n):
        NONE.set(n)
        await asyncio.sleep(0)
        return NONE.get()

    async def both():
        return await asyncio.gather(child(1), child(2))

    return asyncio.new_event_loop().run_until_complete(both())


def sentinel(_):
    return SENTINEL.get() is MISSING


def copied(_):
    context = contextvars.Context()
    return context.run(DEFAULT.get), TABLE["plain"] is PLAIN


def of_a_library(_):
    with decimal.localcontext() as context:
        context.prec = 4
        return str(decimal.Decimal(1) / 3)


same(defaults, unset, managed, in_tasks, sentinel, copied, of_a_library)
equals(lambda _: contextvars.copy_context().run(in_threads, 0), [None, "task"])
same(defaults, unset)
own(lambda _: Request, Request)
