"""What every test may ask for."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from captioning.cache import cache_folder
from tests.support.file_server import FileServer, serving

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


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's own cache; an empty one is in its place, so that no test hangs on its content."""
    own = cache_folder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPTIONING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield own


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A server of files on this machine, in which faults can be planted."""
    with serving() as server:
        yield server
