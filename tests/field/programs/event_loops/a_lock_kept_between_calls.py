"""An asyncio object that one call has made can be used by the next, after a failure too."""

# expect: [Ok(1), Ok(2)]
# expect: Err
# expect: Ok(3)
import asyncio

from enact_pool import Pool

queue = None


async def count(fail):
    global queue
    if queue is None:
        queue = asyncio.Queue()
        queue.put_nowait(0)
        # It waits for an item in this loop, and would fail in another.
        await asyncio.wait_for(queue.join(), 0.01) if queue.empty() else None
    if fail:
        raise ValueError("no")
    n = await asyncio.wait_for(queue.get(), 1) + 1
    asyncio.get_running_loop().call_later(0.01, queue.put_nowait, n)
    await asyncio.sleep(0.02)
    return n


# --- run ---
with Pool(1) as pool:
    print([result.output for result in pool.run_parallel([count] * 2, False)])
    print(type(pool.run_parallel([count], True)[0].output).__name__)
    print(pool.run_parallel([count], False)[0].output)
