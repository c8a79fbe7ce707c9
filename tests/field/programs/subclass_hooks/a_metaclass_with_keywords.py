"""A class whose metaclass takes keywords works, and the metaclass runs once, in the caller."""

# expect: Ok(('users', ['Users']))
# expect: True ['Users']
# expect: Ok('users')
from enact_pool import Pool


class Meta(type):
    made = []

    def __new__(mcs, name, bases, namespace, table):
        Meta.made.append(name)
        cls = super().__new__(mcs, name, bases, namespace)
        cls.table = table
        return cls

    def __init__(cls, name, bases, namespace, table):
        super().__init__(name, bases, namespace)

    def __call__(cls, *arguments):
        instance = super().__call__(*arguments)
        instance.called = True
        return instance


class Users(metaclass=Meta, table="users"):
    def name(self):
        return self.table


def use(_):
    return Users().name(), Meta.made


def made(_):
    return Users()


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([use], 0)[0].output)
    back = pool.run_parallel([made], 0)[0].output.unwrap()
    print(type(back) is Users and back.called, Meta.made)
    print(pool.run_parallel([Users.name], back)[0].output)
