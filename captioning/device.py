"""Where to compute, and with how many threads, when nobody has said."""

import os

import torch


def best_device() -> torch.device:
    """Give the first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def free_cores(taken: int) -> int:
    """Say how many threads to compute with, unless the environment has."""
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, (os.cpu_count() or 1) - taken)
