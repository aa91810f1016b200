"""Training from shards: each image once an epoch, gone on with exactly, few shards at a time."""

import random
from collections import Counter
from itertools import chain, islice
from pathlib import Path

import pytest

from captioning.data import Shapes, Shards
from captioning.data.batching import (
    MIXED,
    CaptionedImages,
    EvaluationBatches,
    TrainingBatches,
    encode_captions,
    shuffled,
)
from captioning.data.inputs import ImageFiles
from tests.data.test_batching import assert_same, ids_of
from tests.support.builders import VOCABULARY, Halves
from tests.support.tiny_shards import make_shards, shapes_in_shards

SIZES = [3, 1, 4, 2, 5, 1, 3, 2]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> CaptionedImages:
    """Of 21 samples in eight shards."""
    shards = make_shards(tmp_path_factory.mktemp("shards"), SIZES)
    examples = Shards("mine", {"train": [str(shard) for shard in shards]}).examples("train")
    tokens, _ = encode_captions(examples, VOCABULARY, max_words=20)
    files = ImageFiles([example.image for example in examples], Halves().transform())
    return CaptionedImages(examples, tokens, files, captions_per_image=1, seed=3)


def test_images_lie_together_by_shard(images: CaptionedImages) -> None:
    assert [len(shard) for shard in images.inputs.together] == SIZES
    assert [*chain(*images.inputs.together)] == [*range(21)]
    files = ImageFiles([Path(f"a/{i}.png") for i in range(3)], Halves().transform())
    assert files.together == [range(3)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_all_processes_together_see_each_image_once_an_epoch(
    processes: int, workers: int, images: CaptionedImages
) -> None:
    """Of 21 images two processes leave out one, never the same."""
    views = [
        TrainingBatches(images, 4, workers, process=(rank, processes)) for rank in range(processes)
    ]
    epochs = []
    for _ in range(3):
        seen = Counter(ids_of([batch for view in views for batch in islice(view, len(view))]))
        assert set(seen.values()) == {1}
        assert len(seen) == 21 - 21 % processes
        epochs.append([*seen])
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("process", [(0, 1), (1, 3)])
def test_training_goes_on_with_the_batch_that_it_stopped_before(
    process: tuple[int, int], images: CaptionedImages
) -> None:
    unbroken = [*islice(TrainingBatches(images, 4, process=process), 14)]
    for served in (1, 5, 6, 13):
        resumed = TrainingBatches(images, 4, num_workers=2, process=process)
        resumed.load_state_dict({"served": served})
        for batch, expected in zip(islice(resumed, 14 - served), unbroken[served:], strict=True):
            assert_same(batch, expected)


def test_evaluation_reads_shards_from_their_beginning_to_their_end(
    images: CaptionedImages,
) -> None:
    ids = ids_of([*EvaluationBatches(images, 4, num_workers=2)])
    assert ids == [example.image_id for example in images.examples]


def test_only_a_few_shards_are_mixed_at_a_time() -> None:
    """Fifty shards of ten: what comes in the time of sixteen is of sixteen shards, whole."""
    shards = [range(10 * shard, 10 * shard + 10) for shard in range(50)]
    order = shuffled(shards, random.Random(0))
    assert sorted(order) == [*range(500)]
    pools = [order[first : first + 10 * MIXED] for first in range(0, 500, 10 * MIXED)]
    for pool in pools:
        assert set(Counter(index // 10 for index in pool).values()) == {10}
        assert pool != sorted(pool)
    assert shuffled(shards, random.Random(0)) == order
    assert shuffled(shards, random.Random(1)) != order


def test_one_shard_is_shuffled_as_files_are(tmp_path: Path) -> None:
    world = Shapes(folder=str(tmp_path / "shapes"), sizes={"train": 7, "val": 2, "test": 2})
    shards = shapes_in_shards(world, tmp_path, per_shard=7)
    batches = []
    for data in (world, shards):
        examples = data.examples("train")
        tokens, _ = encode_captions(examples, VOCABULARY, max_words=20)
        files = ImageFiles([example.image for example in examples], Halves().transform())
        found = CaptionedImages(examples, tokens, files, captions_per_image=2)
        batches.append([*islice(TrainingBatches(found, 3), 6)])
    for ours, theirs in zip(*batches, strict=True):
        assert_same(ours, theirs)
