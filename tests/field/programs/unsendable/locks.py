"""Functions and classes of a script may use its locks, events and queues."""

# expect: Ok(1)
# expect: Ok(2)
# expect: Ok(3)
# expect: Ok((True, 1, 'local'))
# expect: executor 1
# expect: the caller's locks are free: True
import queue
import threading

from enact_pool import Pool, PoolExecutor

LOCK = threading.Lock()
RLOCK = threading.RLock()
EVENT = threading.Event()
SEMAPHORE = threading.Semaphore(2)
QUEUE = queue.Queue()
LOCAL = threading.local()


class Guarded:
    lock = threading.Lock()

    def __init__(self):
        self.own = threading.Lock()

    def value(self):
        with self.lock, self.own:
            return 3


GUARDED = Guarded()


def locked(x):
    with LOCK:
        return x


def through_another(x):
    with RLOCK, SEMAPHORE:
        return locked(x) + 1


def guarded(_):
    return GUARDED.value()


def others(_):
    EVENT.set()
    QUEUE.put(1)
    LOCAL.value = "local"
    return EVENT.is_set(), QUEUE.get(timeout=1), LOCAL.value


# --- run ---
with Pool(1) as pool:
    for function in (locked, through_another, guarded, others):
        print(pool.run_parallel([function], 1)[0].output)
with PoolExecutor(1) as executor:
    print("executor", executor.submit(locked, 1).result())
print("the caller's locks are free:", not LOCK.locked() and not EVENT.is_set() and QUEUE.empty())
