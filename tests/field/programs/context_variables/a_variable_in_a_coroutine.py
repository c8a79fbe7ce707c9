"""Coroutines and functions of a task use the script's context variable alike."""

# expect: [Ok(('a', 'a')), Ok(('b', 'b'))]
import asyncio
import contextvars

from enact_pool import Pool, map_parallel

REQUEST = contextvars.ContextVar("request", default=None)


def current():
    return REQUEST.get()


async def handle(name):
    REQUEST.set(name)
    await asyncio.sleep(0)
    return REQUEST.get(), current()


# --- run ---
with Pool(1) as pool:
    print([result.output for result in map_parallel(handle, ["a", "b"], pool=pool)])
