"""Files that are there whole or not at all, whatever breaks off and whoever else writes them."""

import json
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest

from captioning.errors import InputError
from captioning.files import (
    check_room,
    locked,
    make_folder,
    remove_leftovers,
    whole,
    write,
    write_json,
)
from tests.support.builders import holding, one_line
from tests.support.file_server import full_disk


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_the_old_one_until_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "best.ckpt"
    file.write_text("old")
    with whole(file) as partial:
        partial.write_text("new")
        assert partial.parent == tmp_path
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert names(tmp_path) == ["best.ckpt"]


def break_off(file: Path, failure: BaseException) -> None:
    with whole(file) as partial:
        partial.write_text("ne")
        raise failure


@pytest.mark.parametrize("failure", [OSError, InputError, KeyboardInterrupt, SystemExit])
def test_what_breaks_off_leaves_the_old_file_and_nothing_else(
    failure: type[BaseException], tmp_path: Path
) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text("old")
    with pytest.raises(failure):
        break_off(file, failure())
    assert file.read_text() == "old"
    assert names(tmp_path) == ["captions.jsonl"]


def test_what_breaks_off_before_it_is_begun_is_told_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        break_off(tmp_path / "file" / "a", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "file" / "a"):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["file"]


def test_files_of_like_names_have_partials_of_their_own(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "a.b", "a.b.c", "a.d", ".a", "ă.b")]
    for file in files:
        with whole(file) as outer, whole(file) as inner:
            outer.write_text("outer")
            inner.write_text("inner")
            assert all(each.name.startswith(f"{file.name}.") for each in (outer, inner))
            assert all(each.name.endswith(".partial") for each in (outer, inner))
        assert file.read_text() == "outer"  # the last to end
    assert names(tmp_path) == sorted(file.name for file in files)


def test_threads_that_write_at_once_each_write_a_whole_file(tmp_path: Path) -> None:
    file, together = tmp_path / "index.json", Barrier(4)

    def work(letter: str) -> None:
        with whole(file) as partial, partial.open("w") as content:
            together.wait()
            content.write(letter * 100_000)

    threads = [Thread(target=work, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = file.read_text()
    assert content == content[0] * 100_000
    assert names(tmp_path) == ["index.json"]


REWRITE = """
import sys
from pathlib import Path
from captioning.files import write
for _ in range(50):
    write(Path(sys.argv[1]), sys.argv[2].encode() * 50_000)
"""


def test_processes_that_write_at_once_never_show_half_a_file(tmp_path: Path) -> None:
    file, root = tmp_path / "file", Path(__file__).parents[1]
    write(file, b"c" * 50_000)
    command = [sys.executable, "-c", REWRITE, str(file)]
    writers = [subprocess.Popen([*command, letter], cwd=root) for letter in "ab"]
    while any(each.poll() is None for each in writers):
        content = file.read_bytes()
        assert content == content[:1] * 50_000
    assert [each.returncode for each in writers] == [0, 0]
    assert names(tmp_path) == ["file"]


def test_leftovers_of_other_files_stay(tmp_path: Path) -> None:
    own = tmp_path / "train-0.tar"
    others = ["train-0.tar.settings.json", "train-00.tar", "train-0", "train-[0].tar"]
    kept = ["00000.jsonl.partial", "train-0.partial", "train-0.tar.1-2.part"]
    for name in kept:
        (tmp_path / name).touch()
    for name in [own.name, *others]:
        with whole(tmp_path / name) as partial:
            partial.touch()
        (tmp_path / name).rename(partial)  # as a kill leaves it
        kept += [partial.name] if name != own.name else []
    remove_leftovers([own, tmp_path / "val-0.tar"])
    assert names(tmp_path) == sorted(kept)
    remove_leftovers([])


def test_a_folder_is_whole_or_absent_and_the_first_to_end_wins(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"

    def race() -> None:
        with whole(folder) as slow, whole(folder) as fast:
            slow.mkdir()
            (fast / "fast").mkdir(parents=True)

    with pytest.raises(OSError, match="Directory not empty"):
        race()
    with whole(folder) as partial:
        (partial / "below").mkdir(parents=True)
        folder.rename(tmp_path / "first")
    folder.rename(partial)  # as a kill leaves it
    assert names(tmp_path) == ["first", partial.name]
    remove_leftovers([folder])
    assert names(tmp_path / "first") == ["fast"]
    assert names(tmp_path) == ["first"]


def test_a_folder_in_the_place_of_a_file_is_told_and_stays(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(InputError, match=r"metrics\.json cannot be written \(Is a directory\)"):
        write_json(tmp_path / "metrics.json", {})
    assert names(tmp_path) == ["metrics.json"]


def test_a_disk_that_is_full_keeps_the_old_file_and_is_told(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    write_json(file, ["old"])
    told = pytest.raises(InputError, match=r"metrics\.json cannot be written \(File too large\)")
    with told as error, full_disk(at=1000):
        write_json(file, ["new"] * 1000)
    one_line(error)
    assert json.loads(file.read_text()) == ["old"]
    assert names(tmp_path) == ["metrics.json"]


def test_folders_are_made_and_what_is_in_their_way_is_told(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "a" / "page.html", b"page")
    assert (tmp_path / "runs" / "a" / "page.html").read_bytes() == b"page"
    below = tmp_path / "runs" / "a" / "page.html" / "below" / "b"
    for attempt in (make_folder, lambda path: write(path, b""), lambda path: write_json(path, {})):
        with pytest.raises(InputError, match=r"b cannot be written \(Not a directory\); make room"):
            attempt(below)
    with pytest.raises(InputError, match="make room there, or choose another --runs"):
        make_folder(below, "choose another --runs")


def test_half_a_surrogate_pair_is_written_as_json_escapes_it(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"id": "\ud800é"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"id": "\ud800é"}
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_want_of_room_is_told_with_what_the_user_can_change(tmp_path: Path) -> None:
    check_room(tmp_path, 0, "choose another --output")
    with pytest.raises(InputError, match=r"make room there, or choose another --output$"):
        check_room(tmp_path, 10**18, "choose another --output")


def test_writing_files_loads_neither_torch_nor_a_progress_bar() -> None:
    code = "import sys, captioning.files; print({'torch', 'tqdm', 'numpy'} & set(sys.modules))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_a_locked_file_keeps_other_processes_out_until_its_holder_dies(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with holding(file), pytest.raises(InputError, match="taken"), locked(file, "taken"):
        pass
    with locked(file, "taken"), pytest.raises(AssertionError), holding(file):
        pass
