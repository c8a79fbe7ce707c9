"""Subclasses of `threading.local` are made anew in a worker, as a module would make them."""

# expect: ('default', 'set there', 'default')
import threading

from enact_pool import Pool


class State(threading.local):
    def __init__(self):
        super().__init__()
        self.value = "default"


state = State()


def use(_):
    values = [state.value]
    state.value = "set there"
    values.append(state.value)
    thread = threading.Thread(target=lambda: values.append(state.value))
    thread.start()
    thread.join()
    return tuple(values)


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([use], 0)[0].output.unwrap())
