"""What the caller changes is what the next run sees, whatever a worker has set before."""

# expect: ('first', {'n': 0}, 1)
# expect: ('worker', {'n': 1}, 2)
# expect: ('worker', {'n': 1}, 2)
# expect: ('caller', {'n': 10}, 20)
# expect: ('again', {'n': 10}, 20)
# expect: unset NameError
from enact_pool import Pool

name = "first"
numbers = {"n": 0}


class Level:
    height = 1


def read(_):
    return name, dict(numbers), Level.height


def change(_):
    global name
    name = "worker"
    numbers["n"] += 1
    Level.height += 1


with Pool(1) as pool:

    def show():
        print(pool.run_parallel([read], 0)[0].output.unwrap())

    show()
    pool.run_parallel([change], 0)
    show()
    show()
    name = "caller"
    numbers["n"] = 10
    Level.height = 20
    show()
    name = "again"
    show()
    del name
    error = pool.run_parallel([read], 0)[0].output
    print("unset", error.type)
