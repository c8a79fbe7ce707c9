"""A tensor in shared memory that is an argument of a call is shared, not copied."""

# needs: torch
# expect: [1.0, 1.0, 1.0]
import torch

from enact_pool import PoolExecutor


def add(tensor):
    tensor += 1


# --- run ---
shared = torch.zeros(3).share_memory_()
with PoolExecutor(1, mp_context=torch.multiprocessing) as executor:
    executor.submit(add, shared).result()
print(shared.tolist())
