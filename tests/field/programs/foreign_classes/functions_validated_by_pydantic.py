"""Functions whose arguments pydantic checks, by the annotations of the script."""

# expect: ('4', 'ValidationError')
# expect: 3
# expect: ('User', 'ValidationError')
# needs: pydantic
import pydantic

from enact_pool import Pool


class User(pydantic.BaseModel):
    name: str


@pydantic.validate_call
def text_of(n: int) -> str:
    return str(n)


@pydantic.validate_call(validate_return=True, config={"strict": False})
def number_of(text: str) -> int:
    return text


@pydantic.validate_call
def kind_of(user: User) -> str:
    return type(user).__name__


def error_of(function, value):
    try:
        return function(value)
    except pydantic.ValidationError as error:
        return type(error).__name__


def use(_):
    return text_of("4"), error_of(text_of, "no number")


def use_return(_):
    return number_of("3")


def use_model(_):
    return kind_of({"name": "a"}), error_of(kind_of, {"age": 3})


# --- run ---
with Pool(1) as pool:
    for function in (use, use_return, use_model):
        print(pool.run_parallel([function], 0)[0].output.unwrap())
