import asyncio
import contextlib
import functools

from variation_checks import equals

events = []
kept = {}


async def plain(_):
    await asyncio.sleep(0)
    return "plain"


class Client:
    loop = None

    async def ask(self, _):
        loop = asyncio.get_running_loop()
        before, Client.loop = Client.loop, loop
        return before is None or before is loop

    async def __aenter__(self):
        events.append("in")
        return self

    async def __aexit__(self, *_):
        events.append("out")


CLIENT = Client()


async def managed(_):
    async with CLIENT as client:
        return await client.ask(0), list(events)


async def generated(_):
    async def numbers():
        for n in range(3):
            yield n

    return [n async for n in numbers()]


async def gathered(_):
    return await asyncio.gather(*[plain(n) for n in range(3)])


async def locked(_):
    lock = kept.setdefault("lock", asyncio.Lock())
    async with lock:
        waiting = asyncio.ensure_future(lock.acquire())
        await asyncio.sleep(0)
    await waiting  # the lock is bound to this loop
    lock.release()
    return "locked"


async def pooled(_):
    queue = kept.setdefault("queue", asyncio.Queue())
    asyncio.get_running_loop().call_soon(queue.put_nowait, 1)
    return await queue.get()


async def failing(_):
    raise ValueError("failing")


async def cancelled(_):
    task = asyncio.ensure_future(asyncio.sleep(100))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return task.cancelled()


async def in_a_thread(_):
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(pow, 2, 3))


def with_a_loop_of_its_own(_):
    return asyncio.run(gathered(0))


def returns_an_awaitable(_):
    return plain(0)


decorated = functools.partial(plain)

for _ in range(2):
    equals(plain, "plain")
    equals(decorated, "plain")
    equals(CLIENT.ask, True)
    equals(generated, [0, 1, 2])
    equals(gathered, ["plain"] * 3)
    equals(locked, "locked")
    equals(pooled, 1)
    equals(cancelled, True)
    equals(in_a_thread, 8)
    equals(with_a_loop_of_its_own, ["plain"] * 3)
    equals(returns_an_awaitable, "plain")


async def caught(_):
    try:
        await failing(0)
    except ValueError as error:
        return str(error)


equals(caught, "failing")
equals(managed, (True, ["in"]))
equals(managed, (True, ["in", "out", "in"]))
equals(locked, "locked")
