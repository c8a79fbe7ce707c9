"""The body of a class in a function finds the globals that only it names."""

# expect: Ok((3, 4, 'Base'))
import math

from enact_pool import Pool

SIZE = 4


class Base:
    pass


def define(_):
    class Local(Base):
        rounded = math.floor(math.pi)
        size: int = SIZE

    return Local.rounded, Local.size, Local.__base__.__name__


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([define], 0)[0].output)
