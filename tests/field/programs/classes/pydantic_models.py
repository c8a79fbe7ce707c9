"""Models with validators are arguments and results, and their methods see the script's globals."""

# needs: pydantic
# expect: hi ann
# expect: ['hi ben', 'hi cem']
# expect: True name='dora' friends=[User(name='eve', friends=[])]
# expect: 30 30
# expect: ValidationError
import pydantic

from enact_pool import Pool, PoolExecutor

FACTOR = 2


class User(pydantic.BaseModel):
    name: str
    friends: list["User"] = []

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, value):
        if not value:
            raise ValueError("no name")
        return value

    @pydantic.model_validator(mode="before")
    @classmethod
    def fill(cls, values):
        return {"friends": [], **values}

    def scaled(self):
        return FACTOR * 3


def greet(user):
    return f"hi {user.name}"


def make(names):
    return User(name=names[0], friends=[{"name": name} for name in names[1:]])


before = User(name="before")
with PoolExecutor(1) as executor:
    print(executor.submit(greet, User(name="ann")).result())
    print(list(executor.map(greet, [User(name="ben"), User(name="cem")])))
    user = executor.submit(make, ["dora", "eve"]).result()
    print(type(user) is User and type(user.friends[0]) is User, user)
FACTOR = 10
print(before.scaled(), user.scaled())
with Pool(1) as pool:
    print(pool.run_parallel([make], [""])[0].output.type.rpartition(".")[2])
