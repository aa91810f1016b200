"""Evaluation shared by processes: the same to the last bit, and nothing counted twice."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from captioning.__main__ import main
from captioning.captioner import Captioner
from captioning.data import Shapes
from captioning.data.batching import CaptionedImages, EvaluationBatches, encode_captions
from captioning.data.inputs import ImageFiles
from captioning.decoder import Lrcn
from captioning.encoder import SmallCnn
from captioning.errors import InputError
from captioning.evaluation.evaluate import Share, Task, join_captions, look
from captioning.evaluation.known_world import known_scenes
from captioning.evaluation.temperatures import samplings
from captioning.loaders import Loading
from captioning.processes import join
from captioning.search import Beam, Greedy, Sampling, Search
from captioning.shapes.grammar import support
from captioning.text import Vocabulary
from tests.support.tiny_run import config

IMAGES, BATCH = 11, 3  # four batches, the last of two images
GREEDY = Greedy()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    folder = tmp_path_factory.mktemp("world") / "shapes"
    return Shapes(folder=str(folder), sizes={"test": IMAGES})


@pytest.fixture(scope="module")
def captioner(data: Shapes) -> Captioner:
    torch.manual_seed(0)
    ids = [example.image_id for example in data.examples("test")]
    scenes = known_scenes(data, ids).values()
    vocabulary = Vocabulary.build([text for scene in scenes for text in support(scene)], 1)
    encoder = SmallCnn(channels=8, image_size=32)
    decoder = Lrcn(len(vocabulary), encoder.feature_size, hidden_size=8, embedding_size=8)
    return Captioner(encoder, decoder, vocabulary).eval()


def shares_of(data: Shapes, captioner: Captioner, processes: int) -> list[EvaluationBatches]:
    """What each of so many processes sees."""
    examples = data.examples("test")
    tokens, _ = encode_captions(examples, captioner.vocabulary, 20)
    files = ImageFiles([example.image for example in examples], captioner.encoder.transform())
    images = CaptionedImages(examples, tokens, files)
    return [
        EvaluationBatches(images, BATCH, whole=True, process=(rank, processes))
        for rank in range(processes)
    ]


def ids_of(data: Shapes) -> list[int | str]:
    return [example.image_id for example in data.examples("test")]


def looks(
    data: Shapes, captioner: Captioner, processes: int, search: Search = GREEDY, **more: Any
) -> list[Share]:
    """What each of so many processes finds out."""
    known = more.pop("known", {})
    task = Task([captioner], data, "test", search, Loading(), **more)
    return [look(task, [each], known) for each in shares_of(data, captioner, processes)]


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_processes_take_the_batches_that_one_would_make(
    processes: int, data: Shapes, captioner: Captioner
) -> None:
    (one,) = shares_of(data, captioner, 1)
    alone = [batch.image_ids for batch in one]
    assert [len(image_ids) for image_ids in alone] == [3, 3, 3, 2]
    for rank, own in enumerate(shares_of(data, captioner, processes)):
        assert [batch.image_ids for batch in own] == alone[rank::processes]
        assert len(own) == len(alone[rank::processes])


@pytest.mark.parametrize("search", [Greedy(), Beam(2), Sampling(temperature=0.7)])
def test_any_number_of_processes_say_what_one_says(
    search: Search, data: Shapes, captioner: Captioner
) -> None:
    (alone,) = looks(data, captioner, 1, search)
    for processes in (2, 3, 5):
        shares = [share.captions for share in looks(data, captioner, processes, search)]
        assert sum(map(len, shares)) == IMAGES
        assert [*join(shares, ids_of(data)).items()] == alone.captions


@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_measure_what_one_measures(
    processes: int, data: Shapes, captioner: Captioner
) -> None:
    known = known_scenes(data, ids_of(data))
    (alone,) = looks(data, captioner, 1, known=known)
    several = looks(data, captioner, processes, known=known)
    found = join([share.measured for share in several], ids_of(data))
    assert [*found] == [image_id for image_id, _ in alone.measured]
    for image_id, one in alone.measured:
        assert found[image_id].samples == one.samples
        assert torch.equal(found[image_id].log_ratios, one.log_ratios)
        assert torch.equal(found[image_id].forward_kl, one.forward_kl)
    places = join([share.places for share in several], ids_of(data))
    assert [*places] == [image_id for image_id, _ in alone.places]
    for image_id, direction in alone.places:
        assert np.array_equal(places[image_id], direction)


def test_samples_for_the_curve_are_the_same_and_begin_with_the_greedy_caption(
    data: Shapes, captioner: Captioner
) -> None:
    searches = samplings([1.5, 0.1, 1.5], steps=6)
    assert [search.temperature for search in searches] == [0.1, 1.5]
    (alone,) = looks(data, captioner, 1, Greedy(6), samplings=searches)
    assert [(image_id, sets[0]) for image_id, sets in alone.drawn] == [
        (image_id, [caption] * 5) for image_id, caption in alone.captions
    ]
    assert all(len(sets) == 3 and len(set(sets[2])) > 1 for _, sets in alone.drawn)
    shares = [share.drawn for share in looks(data, captioner, 3, Greedy(6), samplings=searches)]
    assert [*join(shares, ids_of(data)).items()] == alone.drawn
    (without,) = looks(data, captioner, 1)
    assert without.drawn == without.measured == []


def found(captions: Sequence[tuple[int | str, str]], left_out: int = 0) -> Share:
    return Share([*captions], left_out, [], [], [], [])


def test_captions_of_processes_are_counted_against_the_split(
    data: Shapes, captioner: Captioner
) -> None:
    task = Task([captioner], data, "test", Greedy(), Loading())
    said = [(image_id, "a ring") for image_id in ids_of(data)]

    def joined(*shares: Share) -> dict[int | str, str]:
        return join_captions(task, shares, data.examples("test"))

    assert [*joined(found(said[1::2]), found(said[::2]))] == ids_of(data)
    assert len(joined(found(said[2:]), found([], left_out=2))) == IMAGES - 2
    # Padding up to equal shares, as distributed samplers do, would say an image twice.
    with pytest.raises(InputError, match=f"{said[0][0]!r} came twice"):
        joined(found(said[::2]), found([*said[1::2], said[0]]))
    with pytest.raises(InputError, match="expected the 11 images of 'test', but 10 were"):
        joined(found(said[::2]), found(said[3::2]))
    with pytest.raises(InputError, match="none of the images of 'test' can be opened"):
        joined(found([], left_out=IMAGES))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose test split of eight images makes batches of three, three and two."""
    folder = tmp_path_factory.mktemp("shared")
    options = ["--trainer.max_epochs", "1", "--loading.batch_size", str(BATCH)]
    assert main(["train", "--config", str(config(folder)), *options]) == 0
    return folder / "runs" / "shapes-scheduled-sampling-seed0"


def evaluated(run: Path, devices: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "captioning", "evaluate", str(run)]
    options = ["--search", "Sampling", "--temperatures", "0.5,1", "--devices", str(devices)]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)


@pytest.mark.slow  # starts Python six times
def test_one_two_and_three_processes_write_the_same_bytes(run: Path) -> None:
    told, written = [], []
    for devices in (1, 2, 3):
        done = evaluated(run, devices)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
        written.append({file.name: file.read_bytes() for file in run.glob("evaluations/*/*.json")})
    assert told[0] == told[1] == told[2]
    assert {"captions.json", "metrics.json", "scores.json", "temperatures.json"} <= {*written[0]}
    assert written[0] == written[1] == written[2]
    assert (run / "test-temperatures.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow  # starts Python twice
def test_what_one_process_cannot_open_is_told_once(run: Path) -> None:
    images = sorted((run.parents[1] / "shapes" / "images" / "test").iterdir())
    whole = images[BATCH].read_bytes()  # the first image of the second process
    images[BATCH].write_bytes(b"damaged")
    done = evaluated(run, devices=2)
    images[BATCH].write_bytes(whole)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1, done.stderr
    assert f"{images[BATCH].name}" in done.stderr
    assert "Traceback" not in done.stderr
