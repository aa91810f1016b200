"""What every test may ask for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# One thread is fastest for tiny tensors and gives the same bits on every machine. It has to be said
# before torch is loaded, and said here it holds for the commands that tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_root() -> Callable[[str], Path]:
    """`data_root("flickr8k")` is that folder of real data, or skips the test and says why."""

    def find(name: str) -> Path:
        root = os.environ.get("CAPTIONING_DATA")
        if not root:
            pytest.skip(f"needs real data: set CAPTIONING_DATA to a folder that has {name}")
        folder = Path(root, name).resolve()
        if not folder.exists():
            pytest.skip(f"needs real data: CAPTIONING_DATA has no {name}")
        return folder

    return find
