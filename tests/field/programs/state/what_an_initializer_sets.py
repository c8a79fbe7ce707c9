"""What an initializer sets is seen by all tasks: globals, new ones too, and class attributes."""

# expect: Ok(('new', 'opened', 'new'))
# expect: [Ok(('new', 'opened', 'new')), Ok(('new', 'opened', 'new'))]
# expect: ('new', 'opened', 'new')
# expect: caller old None
# ways: -c stdin
from enact_pool import Pool, PoolExecutor, map_parallel

setting = "old"


class Settings:
    value = None


def initialize():
    global setting, connection
    setting = "new"
    connection = "opened"
    Settings.value = "new"


def read(_):
    return setting, connection, Settings.value


# --- run ---
with Pool(1, initializer=initialize) as pool:
    print(pool.run_parallel([read], 0)[0].output)
    print([result.output for result in map_parallel(read, range(2), pool=pool)])
with PoolExecutor(1, initializer=initialize) as executor:
    print(executor.submit(read, 0).result())
print("caller", setting, Settings.value)
