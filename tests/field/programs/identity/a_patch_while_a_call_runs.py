"""A patch that begins while a call runs holds after its result has come, and ends."""

# expect: inside mocked
# expect: after real
import time
from unittest import mock

from enact_pool import PoolExecutor


class Api:
    def get(self):
        return "real"


def call(_):
    time.sleep(0.2)
    return Api()


# --- run ---
with PoolExecutor(1) as executor:
    future = executor.submit(call, 0)
    time.sleep(0.1)
    with mock.patch.object(Api, "get", lambda self: "mocked"):
        print("inside", future.result().get())
    print("after", future.result().get())
