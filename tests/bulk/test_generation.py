"""Captions of many images: the same however often the work breaks off and whoever shares it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from captioning.__main__ import main
from captioning.bulk.collection import find
from captioning.bulk.generation import Task, caption_all
from captioning.bulk.parts import Parts
from captioning.captioner import Captioner, load_captioner
from captioning.search import Hypotheses, Sampling, Search
from tests.support.launching import by_hand, by_slurm, by_torchrun
from tests.support.tiny_captions import checkpoint, image, shard

OUTPUT = "captions.jsonl"
IMAGES = 11  # in blocks of four and batches of two, and then a shard of five
BATCHES = 9

Work = Callable[[Search], bytes]
Capture = pytest.CaptureFixture[str]


class Breaking(Search):
    """A search that is interrupted at its n-th batch."""

    def __init__(self, search: Search, batch: int) -> None:
        super().__init__(search.steps)
        self.search, self.left = search, batch

    def words(self) -> list[str]:
        return ["breaking"]

    def __call__(
        self,
        captioners: Sequence[Captioner],
        features: Sequence[Tensor],
        generator: torch.Generator | None = None,
    ) -> Hypotheses:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.search(captioners, features, generator)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some files, one of them damaged, a shard, and a captioner."""
    folder = tmp_path_factory.mktemp("bulk")
    for number in range(IMAGES):
        image(folder, f"photos/{number:02}.png")
    (folder / "photos" / "05.png").write_bytes(b"damaged")
    shard(folder / "s.tar", list("abcde"))
    checkpoint(folder)
    return folder


@pytest.fixture
def work(folder: Path, tmp_path: Path) -> Iterator[Work]:
    """Begins an output, or goes on with it; gives what it is in the end."""
    output = tmp_path / OUTPUT
    captioner = load_captioner(folder / "small-0.ckpt")
    named = [str(folder / "photos"), str(folder / "s.tar")]

    def work(search: Search) -> bytes:
        task = Task(captioner, search, 0, 2, 0, "skip")
        caption_all(task, Parts(output, batch_size=2), {}, find(named, 4))
        return output.read_bytes()

    threads = torch.get_num_threads()
    yield work
    torch.set_num_threads(threads)


def test_every_image_has_one_record_in_order_a_bad_one_with_its_error(
    work: Work,
) -> None:
    found = [json.loads(line) for line in work(Sampling(samples=2)).splitlines()]
    names = [Path(record["image"]).name for record in found]
    assert names == [f"{n:02}.png" for n in range(IMAGES)] + [f"{key}.png" for key in "abcde"]
    assert [len(record["captions"]) for record in found] == [0 if n == 5 else 2 for n in range(16)]
    assert [n for n, record in enumerate(found) if "error" in record] == [5]
    assert "no known format" in found[5]["error"]


@pytest.mark.parametrize("torn", [b"", b'{"image": "caf\xc3', bytes(5)])
def test_work_that_breaks_off_after_every_batch_ends_in_the_same_bytes(
    work: Work, tmp_path: Path, torn: bytes
) -> None:
    whole = work(Sampling(samples=2))
    (tmp_path / OUTPUT).unlink()
    for _ in range(BATCHES - 1):
        with pytest.raises(KeyboardInterrupt):
            work(Breaking(Sampling(samples=2), 1))
        for part in (tmp_path / f"{OUTPUT}.parts").glob("*.partial"):
            part.write_bytes(part.read_bytes() + torn)
    assert work(Breaking(Sampling(samples=2), 1)) == whole


def test_a_bad_image_stops_the_work_and_what_is_done_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(folder)
    options = ["--output", str(tmp_path / OUTPUT), "--batch_size", "2", "--num_workers", "0"]
    command = ["caption", "small-0.ckpt", "photos", *options]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "05.png: expected an image" in line
    assert "--on_bad_image skip" in line
    assert main([*command, "--on_bad_image", "skip"]) == 0
    told = f"{IMAGES} images, of which 1 could not be opened; {IMAGES - 4} captioned now"
    assert told in capsys.readouterr().err
    assert len((tmp_path / OUTPUT).read_bytes().splitlines()) == IMAGES


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "1"], "its seed is 0, not 1"),
        (["--search", "Beam"], "its search is {'name': 'Greedy', 'steps': 21}, not {'name': 'Beam"),
        (["--batch_size", "3"], "its batch_size is 50, not 3"),
    ],
)
def test_another_way_of_captioning_is_refused(
    folder: Path,
    tmp_path: Path,
    options: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(folder)
    more = ["photos/00.png", "--output", str(tmp_path / OUTPUT), "--num_workers", "0"]
    assert main(["caption", "small-0.ckpt", *more]) == 0
    assert main(["caption", "small-0.ckpt", *more]) == 0
    assert "is complete" in capsys.readouterr().err
    other = checkpoint(tmp_path, seed=1)
    assert main(["caption", "small-0.ckpt", *more, *options]) == 2
    assert words in capsys.readouterr().err
    assert main(["caption", str(other), *more]) == 2
    assert "its captioner is 'sha256:" in capsys.readouterr().err
    assert main(["caption", "small-0.ckpt", "s.tar", *more]) == 2
    assert "its images is" in capsys.readouterr().err


def begun(folder: Path, output: Path, devices: int) -> "subprocess.Popen[str]":
    """A command in a session of its own that has written something."""
    words = ["caption", *(str(folder / name) for name in ("small-0.ckpt", "photos", "s.tar"))]
    search = ["--search", "Sampling", "--search.samples", "2000", "--batch_size", "1"]
    options = ["--output", str(output), "--devices", str(devices), "--on_bad_image", "skip"]
    # What a script has put into the background ignores Ctrl-C, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "captioning", *words, *search, *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    size = written(output)
    while process.poll() is None and written(output) == size:
        time.sleep(0.01)
    return process


def written(output: Path) -> int:
    """The bytes of all parts."""
    parts = output.with_name(f"{output.name}.parts").glob("0*")
    return sum(part.stat().st_size for part in parts)


def made(folder: Path, output: Path, devices: int) -> bytes:
    """The output of a command that comes to its end; it waits for what is left of killed ones."""
    while not output.exists():
        with begun(folder, output, devices) as process:
            _, told = process.communicate(timeout=300)
        assert process.returncode == 0 or "another command is working on it" in told
    return output.read_bytes()


@pytest.mark.slow  # starts Python nine times
def test_kills_and_other_numbers_of_processes_change_nothing(folder: Path, tmp_path: Path) -> None:
    one, two, killed = (tmp_path / f"{name}.jsonl" for name in ("one", "two", "killed"))
    whole = made(folder, one, devices=1)
    assert len(whole.splitlines()) == IMAGES + 5
    assert made(folder, two, devices=2) == whole
    for devices in (3, 1):
        with begun(folder, killed, devices) as first:
            first.kill()  # it alone: the others see that it is gone
        assert not killed.exists()
    assert made(folder, killed, devices=2) == whole


@pytest.mark.slow  # starts Python seven times
def test_torchrun_slurm_and_two_machines_write_the_same(folder: Path, tmp_path: Path) -> None:
    words = ["caption", *(str(folder / name) for name in ("small-0.ckpt", "photos", "s.tar"))]
    options = [*words, "--search", "Sampling", "--batch_size", "1", "--on_bad_image", "skip"]
    files = [tmp_path / f"{way}.jsonl" for way in ("alone", "torchrun", "slurm", "machines")]
    alone, *_ = commands = [[*options, "--output", str(file)] for file in files]
    assert main(alone) == 0
    starts = (by_torchrun, by_slurm, by_hand)
    done = [
        process
        for start, command in zip(starts, commands[1:], strict=True)
        for process in start(*command, prefix="--")
    ]
    assert [(each.returncode, each.stdout) for each in done] == [(0, "")] * 5
    assert sum(each.stderr.count("images, of which 1") for each in done) == 3
    assert len({file.read_bytes() for file in files}) == 1


@pytest.mark.slow  # starts Python three times
@pytest.mark.parametrize("devices", [1, 2])
def test_ctrl_c_stops_and_the_same_command_goes_on(
    folder: Path, tmp_path: Path, devices: int
) -> None:
    output = tmp_path / OUTPUT
    with begun(folder, output, devices) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    # PyTorch's loader, stopped while it was being made, may have complained as it was deleted.
    assert f"{output}: stopped; the same command goes on" in told.splitlines()
    assert "KeyboardInterrupt" not in told
    assert len(made(folder, output, devices=1).splitlines()) == IMAGES + 5
