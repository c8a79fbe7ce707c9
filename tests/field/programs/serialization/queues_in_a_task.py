"""The script's objects pass the queues and pipes of multiprocessing inside a task."""

# expect: Ok([1, 2, 3])
import multiprocessing

from enact_pool import Pool


class Job:
    def __init__(self, n):
        self.n = n


def through(_):
    queue = multiprocessing.SimpleQueue()
    queue.put(Job(1))
    buffered = multiprocessing.Queue()
    buffered.put(Job(2))
    one, other = multiprocessing.Pipe()
    one.send(Job(3))
    jobs = [queue.get(), buffered.get(timeout=5), other.recv()]
    buffered.close()
    buffered.join_thread()
    return [job.n for job in jobs if type(job) is Job]


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([through], 0)[0].output)
