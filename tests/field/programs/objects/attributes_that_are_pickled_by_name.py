"""A descriptor that is pickled by its class and name, as a library for caches has them."""

# expect: (2, 2, 1)
# expect: True
from enact_pool import Pool


class Cached:
    def __init__(self, function):
        self.function = function
        self.calls = 0

    def __set_name__(self, owner, name):
        self.owner, self.name = owner, name

    def __get__(self, instance, owner=None):
        return self if instance is None else lambda n: self.call(instance, n)

    def call(self, instance, n):
        if n not in instance.values:
            self.calls += 1
            instance.values[n] = self.function(instance, n)
        return instance.values[n]

    def __reduce__(self):
        return self.look_up, (self.owner, self.name)

    @staticmethod
    def look_up(owner, name):
        return owner.__dict__[name]


class Service:
    def __init__(self):
        self.values = {}

    @Cached
    def get(self, n):
        return n + 1


def use(_):
    service = Service()
    return service.get(1), service.get(1), Service.get.calls


def by_name(_):
    import pickle

    return pickle.loads(pickle.dumps(Service.get)) is Service.get


# --- run ---
with Pool(1) as pool:
    for function in (use, by_name):
        print(pool.run_parallel([function], 0)[0].output.unwrap())
