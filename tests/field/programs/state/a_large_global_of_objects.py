"""Changes inside a large list of objects are seen, however often it was compared before."""

# expect: [1999000, 1999000, 1999000, 1999000]
# expect: [1999001, 1999001, 1999001]
# expect: ('new', 'new', 'new')
# expect: [3, 3, 3]
# expect: [-1, -1, -1]
# expect: what a task has changed stays: [5, 5, 5]
from enact_pool import Pool


class Point:
    kind = "old"

    def __init__(self, n):
        self.n = n
        self.text = "text " * 10


points = [Point(n) for n in range(2000)]


def total(_):
    return sum(point.n for point in points)


with Pool(1) as pool:

    def runs(function, times=3):
        return [pool.run_parallel([function], 0)[0].output.unwrap() for _ in range(times)]

    print(runs(total, 4))
    points[7].n += 1
    print(runs(total))

    class Point:
        kind = "new"

        def __init__(self, n):
            self.n = n
            self.text = "text " * 10

    points[:] = [Point(point.n) for point in points]
    print(tuple(runs(lambda _: points[9].kind)))

    def three():
        return 3

    Point.call = staticmethod(three)
    points[0] = Point.call
    print(runs(lambda _: points[0]()))
    points[0] = lambda: -1
    print(runs(lambda _: points[0]()))

    points[0] = Point(0)
    runs(total)

    def change(_):
        points[0].n = 5

    runs(change, 1)
    print("what a task has changed stays:", runs(lambda _: points[0].n))
