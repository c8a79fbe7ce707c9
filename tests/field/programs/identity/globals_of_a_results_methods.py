"""Methods of an object that has come back use the script's globals, now and later."""

# expect: scaled 30
# expect: the same method True
# expect: later 300
# expect: total 3
from enact_pool import PoolExecutor, map_parallel

SCALE = 10
TOTAL = 0


class Counter:
    def __init__(self, n):
        self.n = n

    def scaled(self):
        return self.n * SCALE

    def add(self):
        global TOTAL
        TOTAL += self.n


method = Counter.scaled
before = Counter(2)
(result,) = map_parallel(Counter, [3])
with PoolExecutor(1) as executor:
    other = executor.submit(Counter, 1).result()
counter = result.output.unwrap()
print("scaled", counter.scaled())
print("the same method", Counter.scaled is method)
SCALE = 100
print("later", counter.scaled())
before.add()
other.add()
print("total", TOTAL)
