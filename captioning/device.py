"""Default choice of the device and of the number of threads."""

import os

import torch

from captioning.cores import cores


def best_device() -> torch.device:
    """Return the first GPU, or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def free_cores(taken: int) -> int:
    """Return how many threads to use: all cores but `taken`, unless OMP_NUM_THREADS is set."""
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, cores() - taken)
