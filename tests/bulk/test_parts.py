"""An output that grows in parts, and is broken off anywhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioning.bulk.collection import Block, find
from captioning.bulk.parts import Parts, Tally
from captioning.bulk.records import Record, as_line
from captioning.errors import InputError
from captioning.files import whole

SETTINGS = {"seed": 0, "search": {"name": "Greedy"}}
BLOCKS = [Block("/photos", ["a.png", "b.png", "caf\udce9.png"]), Block("/photos", ["d.png"])]
LOCK = """
import fcntl, sys
with open(sys.argv[1], "a+b") as file:
    fcntl.lockf(file, fcntl.LOCK_SH)
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """An output of two parts that was begun."""
    parts = Parts(tmp_path / "captions.jsonl", batch_size=2)
    with parts.opened():
        assert parts.begin(SETTINGS, BLOCKS)
        yield parts


def record(name: str, **more: str) -> Record:
    return {"image": name, "captions": [{"caption": "mèo\u2028", "log_probability": -1.5}], **more}


def test_parts_are_joined_in_order_whichever_was_made_first(parts: Parts) -> None:
    records = [record("a.png"), record("b.png"), record("c.png", error="damaged"), record("d.png")]
    parts.append(1, records[3:])
    parts.finish(1)
    parts.append(0, records[:2])
    parts.append(0, records[2:3])
    assert [number for number, _ in parts.unfinished(0, 1)] == [0]
    parts.finish(0)
    assert parts.join() == Tally(images=4, bad=1)
    assert parts.output.read_text(encoding="utf-8") == "".join(map(as_line, records))
    assert {path.name for path in parts.output.parent.iterdir()} == {
        "captions.jsonl",
        "captions.jsonl.settings.json",
    }
    assert not parts.begin(SETTINGS, BLOCKS)


def test_parquet_holds_the_same_records(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: captioning[parquet]")
    parts = Parts(tmp_path / "captions.parquet", batch_size=2)
    with parts.opened():
        parts.begin(SETTINGS, BLOCKS)
        parts.append(0, [record("a.png"), {"image": "b.png", "captions": [], "error": "damaged"}])
        for number in (0, 1):
            parts.finish(number)
        assert parts.join() == Tally(2, 1)
    assert parquet.read_table(parts.output).to_pylist() == [
        record("a.png") | {"error": None},
        {"image": "b.png", "captions": [], "error": "damaged"},
    ]


def test_processes_share_the_parts(parts: Parts) -> None:
    assert [[n for n, _ in parts.unfinished(rank, 2)] for rank in (0, 1)] == [[0], [1]]
    assert [block for _, block in parts.unfinished(0, 1)] == BLOCKS


@given(st.data())
def test_of_a_part_cut_anywhere_the_whole_batches_stay(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    parts = Parts(tmp_path_factory.mktemp("cut") / "captions.jsonl", batch_size=2)
    parts.folder.mkdir()
    for names in ("ab", "cd", "e"):
        parts.append(0, [record(name) for name in names])
    whole = parts.growing(0).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    lost = data.draw(st.sampled_from([b"", bytes(9)]))  # as a failing machine may leave behind
    parts.growing(0).write_bytes(whole[:cut] + lost)
    lines = whole[:cut].count(b"\n")
    assert parts.keep(0) == lines // 2 * 2
    assert parts.growing(0).read_bytes() == b"".join(whole.splitlines(True)[: lines // 2 * 2])


def test_the_images_are_those_of_the_first_time(parts: Parts) -> None:
    assert parts.begin(SETTINGS, [Block("/photos", ["new.png"])])
    assert [block for _, block in parts.blocks()] == BLOCKS


def test_an_output_that_was_made_otherwise_is_refused(parts: Parts) -> None:
    with pytest.raises(InputError, match="its seed is 0, not 1; name another --output, or remove"):
        parts.begin({**SETTINGS, "seed": 1}, BLOCKS)
    for number in (0, 1):
        parts.finish(number)
    parts.join()
    assert not parts.begin(SETTINGS, BLOCKS)
    with pytest.raises(InputError, match=r"its search is \{'name': 'Greedy'\}, not \{'name': 'B"):
        parts.begin({**SETTINGS, "search": {"name": "Beam"}}, BLOCKS)


def test_an_output_of_which_nothing_is_known_is_refused(parts: Parts) -> None:
    parts.settings_file.write_text("{")
    with pytest.raises(InputError, match="its seed is None, not 0"):
        parts.begin(SETTINGS, BLOCKS)


def test_a_file_of_another_origin_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "captions.jsonl"
    output.write_text("precious")
    with pytest.raises(InputError, match="is there already"), Parts(output, 2).opened():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["captions.jsonl"]


def test_images_that_are_not_found_leave_nothing_behind(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "captions.jsonl", batch_size=2)
    with pytest.raises(InputError, match="found no file"), parts.opened():
        parts.begin(SETTINGS, find([str(tmp_path)], 2))
    assert not any(tmp_path.iterdir())


def test_what_was_removed_is_begun_anew_with_other_settings(parts: Parts) -> None:
    parts.append(0, [record("a.png")])
    parts.list.unlink()
    assert parts.begin({"seed": 1}, BLOCKS[1:])
    assert parts.keep(0) == 0
    assert json.loads(parts.settings_file.read_text()) == {"seed": 1}


def test_what_a_kill_left_of_the_output_is_removed(parts: Parts) -> None:
    left = parts.output.with_name("captions.jsonl.99-0a1b2c3d.partial")
    left.touch()
    assert parts.begin(SETTINGS, BLOCKS)
    assert not left.exists()


def test_what_was_killed_before_its_images_were_listed_is_begun_anew(parts: Parts) -> None:
    with whole(parts.list) as partial:
        partial.touch()
    parts.list.rename(partial)
    parts.settings_file.write_text('{"see')
    assert parts.begin(SETTINGS, BLOCKS[1:])
    assert [block for _, block in parts.blocks()] == BLOCKS[1:]


def test_parts_that_a_kill_left_beside_the_whole_output_are_removed(parts: Parts) -> None:
    parts.output.write_text("")
    assert not parts.begin(SETTINGS, BLOCKS)
    assert not parts.folder.exists()


def test_a_second_command_is_refused_as_long_as_the_first_is_at_work(parts: Parts) -> None:
    command = [sys.executable, "-c", LOCK, str(parts.settings_file)]
    other = Parts(parts.output, 2)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with pytest.raises(InputError, match="another command is working on it"), other.opened():
            other.begin(SETTINGS, BLOCKS)
        first.kill()
    with other.opened():
        assert other.begin(SETTINGS, BLOCKS)


def test_a_full_disk_is_told_in_one_line(parts: Parts) -> None:
    parts.growing(0).symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); make"):
        parts.append(0, [record("a.png")])
