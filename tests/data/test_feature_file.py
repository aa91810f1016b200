"""Files of features: mapped and not loaded, whole or refused, given up where there is no room."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from captioning.data.feature_file import ABSENT, MADE, FeatureFile, look
from captioning.data.image import ImageError
from captioning.data.inputs import StoredFeatures
from captioning.errors import InputError
from tests.support.builders import make_stored, one_line

ARRAY = np.arange(24, dtype=np.float16).reshape(4, 2, 3)
PATHS = [Path(f"{number}.jpg") for number in range(4)]


@pytest.fixture
def file(tmp_path: Path) -> FeatureFile:
    """Four rows, all of them made."""
    return make_stored(ARRAY, PATHS, tmp_path).file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    array = ARRAY.copy()
    array[1] = np.nan
    stored = make_stored(array, PATHS, tmp_path)
    np.testing.assert_array_equal(stored.array, array)
    assert isinstance(stored[1], ImageError)
    assert "1.jpg" in str(stored[1])
    assert [row.tolist() for row in map(stored.__getitem__, (0, 2, 3))] == array[[0, 2, 3]].tolist()


def test_a_row_that_is_not_made_is_none(file: FeatureFile) -> None:
    file.create()
    assert isinstance(StoredFeatures(file, PATHS)[0], ImageError)


def test_a_row_is_a_view_of_the_file(file: FeatureFile) -> None:
    stored = StoredFeatures(file, PATHS)
    assert isinstance(stored.array, np.memmap)
    row = stored[3]
    assert isinstance(row, Tensor)
    assert row.dtype == torch.float16
    assert row.data_ptr() == stored.array[3].ctypes.data


def test_a_system_that_allots_no_blocks_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    file = FeatureFile(tmp_path / "a.npy", (4, 2, 3))
    file.create()
    np.testing.assert_array_equal(file.array(), np.zeros((4, 2, 3)))
    assert {path.name for path in tmp_path.iterdir()} == {"a.npy", "a.index.npy"}


def test_what_a_kill_left_of_the_index_is_removed(file: FeatureFile) -> None:
    left = file.index_path.with_name(f"{file.index_path.name}.99-0a1b2c3d.partial")
    left.touch()
    file.create()
    assert not left.exists()


def resident() -> int:
    """Bytes of this process that are in memory, those of mapped files too."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_reading_a_row_does_not_load_the_file(tmp_path: Path) -> None:
    file = FeatureFile(tmp_path / "large.npy", (64, 128, 4096))  # 64 MiB
    file.create()
    file.index(writable=True)["state"] = MADE
    stored = StoredFeatures(file, [tmp_path] * 64)
    stored.checked[:] = True
    before = resident()
    row = stored[40]
    assert isinstance(row, Tensor)
    assert row.sum() == 0
    assert resident() - before < 16 * 2**20  # a row is 1 MiB, and the system reads ahead


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("damage", [b"", b"nothing of the kind", None])
def test_a_damaged_file_is_refused_by_name(
    index: bool, damage: bytes | None, file: FeatureFile
) -> None:
    path = file.index_path if index else file.path
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    with pytest.raises(InputError, match=r"is damaged: expected .* remove") as error:
        StoredFeatures(file, PATHS)
    assert str(path) in one_line(error)


def test_a_file_of_another_shape_is_refused(file: FeatureFile) -> None:
    with pytest.raises(InputError, match=r"expected float16 of \(5, 2, 3\), got float16 of \(4, 2"):
        FeatureFile(file.path, (5, 2, 3)).array()


def test_a_damaged_row_is_noticed_when_it_is_read(file: FeatureFile) -> None:
    content = bytearray(file.path.read_bytes())
    content[-1] ^= 1
    file.path.write_bytes(content)
    stored = StoredFeatures(file, PATHS)
    assert isinstance(stored[2], Tensor)
    with pytest.raises(InputError, match=r"is damaged: the features of 3.jpg") as error:
        stored[3]
    one_line(error)


def test_a_file_is_known_by_its_content_and_what_cannot_be_read_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    seen = look(path)
    assert (seen.size, seen.date) == (3, path.stat().st_mtime_ns)
    # FIPS 180-2, appendix B.1.
    assert seen.digest.hex().startswith("ba7816bf8f01cfea414140de5dae2223")
    assert look(tmp_path / "b") == look(tmp_path) == ABSENT


LIMITED = """
import resource, sys
from pathlib import Path
from captioning.errors import InputError
from captioning.features import FeatureCache
from tests.support.builders import Halves, make_examples
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = Path(sys.argv[1])
examples = make_examples(folder, [["a"]] * 100)
try:
    FeatureCache(Halves(), examples, folder / "cache", "train").complete(0)
except InputError as error:
    print(error)
print(sorted(path.suffix for path in (folder / "cache").iterdir()))
"""


@pytest.mark.slow  # starts Python
def test_room_that_is_not_to_be_had_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    told, left = done.stdout.splitlines()
    assert "features cannot be kept in" in told
    assert left == "['.lock']"
