"""A patch that begins while a call runs holds after its result has come, and ends."""

# expect: inside mocked
# expect: after real
import time
from pathlib import Path
from unittest import mock

from enact_pool import PoolExecutor

STARTED, GO = Path("started"), Path("go")


class Api:
    def get(self):
        return "real"


def call(_):
    STARTED.touch()
    while not GO.exists():
        time.sleep(0.01)
    return Api()


# --- run ---
with PoolExecutor(1) as executor:
    future = executor.submit(call, 0)
    while not STARTED.exists():
        time.sleep(0.01)
    with mock.patch.object(Api, "get", lambda self: "mocked"):
        GO.touch()
        print("inside", future.result().get())
    print("after", future.result().get())
