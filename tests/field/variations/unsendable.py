import contextvars
import mmap
import queue
import random
import socket
import sqlite3
import sys
import tempfile
import threading
import weakref

from variation_checks import equals, fails, same

LOCK, RLOCK, CONDITION = threading.Lock(), threading.RLock(), threading.Condition()
BARRIER = threading.Barrier(1)
BOUNDED = threading.BoundedSemaphore(1)
LIFO, SIMPLE = queue.LifoQueue(3), queue.SimpleQueue()
VARIABLE = contextvars.ContextVar("variable", default=(1,))
NESTED = {"locks": [threading.Lock()], "variable": VARIABLE}
STREAM, ERRORS = sys.stdout, sys.stderr
WEAK = weakref.WeakKeyDictionary()

OUT = open("out.txt", "wb")
BINARY = open(__file__, "rb")
SOCKET = socket.socket()
CONNECTION = sqlite3.connect(":memory:")
CURSOR = CONNECTION.cursor()
GENERATOR = (n for n in "ab")
MAP = mmap.mmap(-1, 10)
DEEP = {"files": [OUT]}

ITERATOR = map(str, GENERATOR)


class Store:
    lock = threading.Lock()
    file = OUT
    name = "store"

    def __init__(self):
        self.lock = threading.RLock()

    def locked(self):
        with self.lock, Store.lock:
            return self.name


class Holder:
    def __init__(self):
        self.connection = CONNECTION


STORE = Store()
HOLDER = Holder()


def locks(_):
    with LOCK, RLOCK, CONDITION, BOUNDED, NESTED["locks"][0]:
        return BARRIER.wait()


def queues(_):
    LIFO.put(1)
    SIMPLE.put(2)
    return LIFO.get(), SIMPLE.get(), LIFO.maxsize


def variables(_):
    return VARIABLE.get(), NESTED["variable"] is VARIABLE, VARIABLE.name


def in_classes(_):
    return STORE.locked(), Store().locked()


def streams(_):
    return STREAM is sys.stdout, ERRORS is sys.stderr


def weak(_):
    key = Store()
    WEAK[key] = 1
    return list(WEAK.values())


def not_used(x):
    if x:
        OUT.write(b"x")
        SOCKET.listen()
        CONNECTION.close()
        next(GENERATOR)
        return MAP, DEEP, HOLDER, BINARY, CURSOR, ITERATOR
    return "not used"


def local_of_that_name(_):
    OUT = "local"
    return OUT.upper()


def attribute_of_that_name(_):
    return hasattr(random, "OUT")


same(locks, queues, variables, in_classes, streams, weak)
same(not_used, local_of_that_name, attribute_of_that_name)
fails(lambda _: OUT.write(b"x"), "OUT")
fails(lambda _: BINARY.read(1), "BINARY")
fails(lambda _: CONNECTION.execute("select 1"), "CONNECTION")
fails(lambda _: CURSOR.execute("select 1"), "CURSOR")
fails(lambda _: next(GENERATOR), "GENERATOR")
fails(lambda _: MAP[0], "MAP")
fails(lambda _: DEEP["files"], "DEEP")
fails(lambda _: HOLDER.connection, "HOLDER")
fails(lambda _: isinstance(OUT, int), "OUT")
fails(lambda _: OUT is None, "OUT")
fails(lambda _: bool(OUT), "OUT")


def through_functions(_):
    return [through(n) for n in (1, 2)]


def through(n):
    return OUT.fileno() + n


def caught(_):
    try:
        return OUT.fileno()
    except Exception:
        return "caught"


fails(through_functions, "OUT")
equals(caught, "caught")
# The worker still runs what needs none of them.
same(locks, not_used)
with tempfile.TemporaryFile() as OUT:
    fails(lambda _: OUT.fileno(), "OUT")
# Once the caller has something else there, it is seen.
OUT = "a text"
same(lambda _: OUT)
assert not LOCK.locked()
for one in (BINARY, SOCKET, CONNECTION, MAP, DEEP["files"][0]):
    one.close()
