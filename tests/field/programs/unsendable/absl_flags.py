"""A function that uses absl's flags gets their values, or an error that names the global."""

# needs: absl
# expect: True
# expect: the caller's: 5
from absl import app, flags

from enact_pool import Pool

flags.DEFINE_integer("n", 3, "how many")
FLAGS = flags.FLAGS


def work(x):
    return x * FLAGS.n


def main(_):
    with Pool(1) as pool:
        output = pool.run_parallel([work], 2)[0].output
    print((output.is_ok and output.unwrap() == 10) or "FLAGS" in output.error or output)
    print("the caller's:", FLAGS.n)


app.run(main, ["program", "--n=5"])
