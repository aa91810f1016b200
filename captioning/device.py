"""Where to compute when nobody has said."""

import torch


def best_device() -> torch.device:
    """Give the first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
