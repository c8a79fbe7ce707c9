"""What a call has bound to the running loop can be used by the next, after a failure too."""

# expect: [Ok(1), Ok(2)]
# expect: Err
# expect: Ok(3)
# expect: executor True
import asyncio

from enact_pool import Pool, PoolExecutor

queue = loop = None


async def count(fail):
    global queue
    if queue is None:
        queue = asyncio.Queue()
        queue.last = 0
    if fail:
        raise ValueError("no")
    queue.last += 1
    asyncio.get_running_loop().call_later(0.02, queue.put_nowait, queue.last)
    return await asyncio.wait_for(queue.get(), 5)  # it waits, and is bound to this loop by that


async def is_the_same_loop(_):
    global loop
    before, loop = loop, asyncio.get_running_loop()
    return before is loop


# --- run ---
with Pool(1) as pool:
    print([result.output for result in pool.run_parallel([count] * 2, False)])
    print(type(pool.run_parallel([count], True)[0].output).__name__)
    print(pool.run_parallel([count], False)[0].output)
with PoolExecutor(1) as executor:
    executor.submit(is_the_same_loop, 0).result()
    print("executor", executor.submit(is_the_same_loop, 0).result())
