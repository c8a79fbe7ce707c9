"""The decimal context of a task is the caller's."""

# expect: 60 digits, then 60
# expect: 10 digits, then 10
# expect: executor 10
# expect: Err Inexact
import decimal

from enact_pool import Pool, PoolExecutor


def digits(_):
    return len(str(decimal.Decimal(1) / 3)) - 2


context = decimal.getcontext()
with Pool(1) as pool, PoolExecutor(1) as executor:
    executor.submit(abs, 1).result()
    for precision in (60, 10):
        context.prec = precision
        print(digits(0), "digits, then", pool.run_parallel([digits], 0)[0].output.unwrap())
    print("executor", executor.submit(digits, 0).result())
    context.traps[decimal.Inexact] = True
    output = pool.run_parallel([digits], 0)[0].output
    print(type(output).__name__, output.type.rpartition(".")[2])
