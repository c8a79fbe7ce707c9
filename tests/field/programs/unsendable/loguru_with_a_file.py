"""A function that logs by loguru runs, though the caller's logger has a file as a sink."""

# needs: loguru
# stderr: the worker's logger may write there
# expect: Ok(1)
# expect: executor 2
# expect: the caller's line is in the file: True
from pathlib import Path

from loguru import logger

from enact_pool import Pool, PoolExecutor

logger.add("run.log")
logger.add(print, enqueue=True, level="CRITICAL")


def work(x):
    logger.info("x={}", x)
    return x


with Pool(1) as pool:
    print(pool.run_parallel([work], 1)[0].output)
with PoolExecutor(1) as executor:
    print("executor", executor.submit(work, 2).result())
logger.info("from the caller")
print("the caller's line is in the file:", "from the caller" in Path("run.log").read_text())
logger.remove()
