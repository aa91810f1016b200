"""Loading: each batch is a function of its number, and a bad image takes only itself away."""

import gc
import multiprocessing
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from captioning.batch import Batch
from captioning.data.batching import (
    CaptionedImages,
    EvaluationBatches,
    TrainingBatches,
    encode_captions,
)
from captioning.data.dataset import Example
from captioning.data.inputs import ImageFiles
from captioning.errors import InputError
from captioning.text import END
from tests.support.builders import VOCABULARY, Halves, make_examples, make_stored

WORDS = VOCABULARY.tokens[END + 1 :]
# Ten images with one to five captions; caption j of image i has a length of its own.
CAPTIONS = [[" ".join([WORDS[j]] * (i % 3 + 1)) for j in range(1 + i % 5)] for i in range(10)]


def make_images(
    folder: Path,
    captions: Sequence[Sequence[str]] = CAPTIONS,
    captions_per_image: int | None = None,
    seed: int = 0,
) -> CaptionedImages:
    examples = make_examples(folder, captions)
    tokens, _ = encode_captions(examples, VOCABULARY, max_words=20)
    files = ImageFiles([example.image for example in examples], Halves().transform())
    return CaptionedImages(examples, tokens, files, captions_per_image, seed)


def ids_of(batches: Sequence[Batch]) -> list[int | str]:
    return [image_id for batch in batches for image_id in batch.image_ids]


def captions_by_image(batch: Batch) -> dict[int | str, list[list[int]]]:
    """The real tokens of each caption, by the image that it says it belongs to."""
    found: dict[int | str, list[list[int]]] = {image_id: [] for image_id in batch.image_ids}
    for tokens, length, place in zip(*batch.captions, strict=True):
        found[batch.image_ids[place]].append(tokens[:length].tolist())
    return found


def assert_same(one: Batch, other: Batch) -> None:
    assert one.image_ids == other.image_ids
    assert one.references == other.references
    assert torch.equal(one.images, other.images)
    for ours, theirs in zip(one.captions, other.captions, strict=True):
        assert torch.equal(ours, theirs)


def check_whole(batch: Batch, examples: Sequence[Example]) -> None:
    """Images, captions and references of a batch belong together."""
    by_id = {example.image_id: example for example in examples}
    assert isinstance(batch.images, Tensor)
    assert batch.features is None
    for image_id, image, texts in zip(batch.image_ids, batch.images, batch.references, strict=True):
        assert isinstance(image_id, int)
        assert image.max().item() == pytest.approx(20 * image_id / 255)
        assert texts == by_id[image_id].captions
        known = [[*tokens, END] for tokens in VOCABULARY.encode(texts)]
        for own in captions_by_image(batch)[image_id]:
            known.remove(own)


def test_each_image_comes_with_its_own_captions_and_references(tmp_path: Path) -> None:
    images = make_images(tmp_path, captions_per_image=2)
    for batch in islice(TrainingBatches(images, 3), 8):
        check_whole(batch, images.examples)
        for texts, own in zip(batch.references, captions_by_image(batch).values(), strict=True):
            assert len(own) == min(2, len(texts))


@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4, 4, 2]), (5, [5, 5]), (99, [10])])
def test_an_epoch_has_every_image_once(batch_size: int, sizes: list[int], tmp_path: Path) -> None:
    batches = TrainingBatches(make_images(tmp_path), batch_size)
    assert len(batches) == len(sizes)
    orders = []
    for _ in range(3):
        epoch = list(islice(batches, len(batches)))
        assert [len(batch.image_ids) for batch in epoch] == sizes
        orders.append(ids_of(epoch))
        assert sorted(orders[-1]) == list(range(10))
    assert len({tuple(order) for order in orders}) == 3


def test_iterating_again_goes_on_where_it_stopped(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    batches = TrainingBatches(images, 4)
    for expected in islice(TrainingBatches(images, 4), 6):
        assert_same(next(iter(batches)), expected)


@pytest.mark.parametrize(("workers", "starts"), [(0, range(8)), (2, (1, 5))])
def test_training_resumes_at_any_batch(workers: int, starts: Sequence[int], tmp_path: Path) -> None:
    images = make_images(tmp_path, captions_per_image=2, seed=3)
    whole = list(islice(TrainingBatches(images, 4), 10))
    for start in starts:
        before = TrainingBatches(images, 4, workers)
        for _ in islice(before, start):
            pass
        state = before.state_dict()
        resumed = TrainingBatches(images, 4, workers)
        next(resumed)  # resuming forgets what was under way
        resumed.load_state_dict(state)
        for one, other in zip(islice(resumed, 10 - start), whole[start:], strict=True):
            assert_same(one, other)
        assert resumed.state_dict() == {"served": 10, "processes": 1}


def test_workers_end_with_the_stream_they_work_for(tmp_path: Path) -> None:
    batches = TrainingBatches(make_images(tmp_path), 4, num_workers=2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    gc.disable()
    del batches
    gc.enable()
    assert multiprocessing.active_children() == []


def test_another_seed_gives_another_order_and_other_captions(tmp_path: Path) -> None:
    one, other = (
        next(TrainingBatches(make_images(tmp_path, captions_per_image=1, seed=seed), 10))
        for seed in (0, 1)
    )
    assert one.image_ids != other.image_ids
    assert captions_by_image(one) != captions_by_image(other)


def test_captions_are_drawn_anew_at_each_epoch_without_repeating_one(tmp_path: Path) -> None:
    captions = [[f"{word} {other}" for other in WORDS] for word in WORDS[:3]]
    images = make_images(tmp_path, captions, captions_per_image=2)
    drawn = [captions_by_image(batch) for batch in islice(TrainingBatches(images, 3), 40)]
    for image in range(3):
        pairs = [frozenset(map(tuple, epoch[image])) for epoch in drawn]
        assert {len(pair) for pair in pairs} == {2}
        # Each of the 15 pairs is missing with chance (14 / 15)^40 = 6%: one at most, in this seed.
        assert len(set(pairs)) >= 13
        assert len(frozenset.union(*pairs)) == 6


def test_without_a_number_all_captions_are_taken(tmp_path: Path) -> None:
    images = make_images(tmp_path, captions_per_image=None)
    own = captions_by_image(next(TrainingBatches(images, 10)))
    assert {i: len(captions) for i, captions in own.items()} == {i: 1 + i % 5 for i in range(10)}


def test_processes_share_an_epoch_up_to_a_remainder(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    left_out = set()
    ranks = [TrainingBatches(images, 2, process=(rank, 3)) for rank in range(3)]
    assert [len(rank) for rank in ranks] == [2, 2, 2]
    for _ in range(8):
        shares = [ids_of(list(islice(rank, 2))) for rank in ranks]
        assert [len(share) for share in shares] == [3, 3, 3]
        seen = {image for share in shares for image in share}
        assert len(seen) == 9
        left_out |= set(range(10)) - seen
    assert len(left_out) > 1


def test_training_does_not_go_on_in_other_shares_than_were_served(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    served = TrainingBatches(images, 2, process=(0, 3))
    next(served)
    again, other = (TrainingBatches(images, 2, process=(0, count)) for count in (3, 2))
    for each in (again, other):
        each.load_state_dict(served.state_dict())
    assert_same(next(again), next(served))
    with pytest.raises(InputError, match="trained by 3 processes, now there are 2: resume with"):
        next(other)


def test_more_processes_than_images_are_refused(tmp_path: Path) -> None:
    batches = TrainingBatches(make_images(tmp_path), 2, process=(0, 11))
    with pytest.raises(InputError, match=r"11 processes .* has 10: use fewer devices"):
        next(batches)


def test_a_bad_image_stops_training_and_is_named(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    (tmp_path / "7.png").write_bytes(b"damaged")
    with pytest.raises(
        InputError, match=r"^.*7\.png: .* \(--on_bad_image skip, in training --loading\..*\)$"
    ):
        list(islice(TrainingBatches(images, 4), 3))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_is_left_out_with_its_captions_and_told_once(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = make_images(tmp_path)
    (tmp_path / "7.png").write_bytes(b"damaged")
    (tmp_path / "2.png").unlink()
    batches = TrainingBatches(images, 4, workers, on_bad_image="skip")
    for _ in range(2):
        epoch = list(islice(batches, len(batches)))
        assert sorted(ids_of(epoch)) == [0, 1, 3, 4, 5, 6, 8, 9]
        for batch in epoch:
            check_whole(batch, images.examples)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(batches.skipped) == 2
    assert [line.split(":")[0] for line in told] == ["skipped 1", "skipped 2"]
    assert sum(str(tmp_path / "7.png") in line for line in told) == 1


def test_a_batch_of_nothing_but_bad_images_is_passed_over(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    for i in range(1, 10):
        (tmp_path / f"{i}.png").unlink()
    batches = TrainingBatches(images, 1, on_bad_image="skip")
    assert ids_of(list(islice(batches, 4))) == [0, 0, 0, 0]
    assert 31 <= batches.state_dict()["served"] <= 40
    resumed = TrainingBatches(images, 1, on_bad_image="skip")
    resumed.load_state_dict(batches.state_dict())
    assert_same(next(resumed), next(batches))


@pytest.mark.parametrize("batch_size", [1, 4, 10])
def test_training_on_nothing_but_bad_images_ends(batch_size: int, tmp_path: Path) -> None:
    images = make_images(tmp_path)
    for i in range(10):
        (tmp_path / f"{i}.png").unlink()
    with pytest.raises(InputError, match="none of the 10 training images can be opened"):
        next(TrainingBatches(images, batch_size, on_bad_image="skip"))


def test_evaluation_sees_every_image_once_in_order_with_all_captions(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    batches = EvaluationBatches(images, 4)
    assert len(batches) == 3
    for _ in range(2):
        run = list(batches)
        assert ids_of(run) == list(range(10))
        for batch in run:
            check_whole(batch, images.examples)
        counts = [len(own) for batch in run for own in captions_by_image(batch).values()]
        assert counts == [1 + i % 5 for i in range(10)]


def test_processes_share_an_evaluation_and_leave_nothing_out(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    runs = [EvaluationBatches(images, 2, process=(rank, 3)) for rank in range(3)]
    assert [ids_of(list(run)) for run in runs] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert [len(run) for run in runs] == [2, 2, 2]


def test_a_validation_that_leaves_a_process_without_an_image_is_refused(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    for rank in (0, 10):
        with pytest.raises(InputError, match="the validation split has 10: use fewer devices"):
            len(EvaluationBatches(images, 4, process=(rank, 11)))
    assert len(EvaluationBatches(images, 4, whole=True, process=(10, 11))) == 0


def test_evaluation_skips_bad_images_or_stops_at_the_first(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    for i in (1, 4, 5, 6, 7):
        (tmp_path / f"{i}.png").write_bytes(b"damaged")
    batches = EvaluationBatches(images, 4, on_bad_image="skip")
    assert ids_of(list(batches)) == ids_of(list(batches)) == [0, 2, 3, 8, 9]
    assert len(batches.skipped) == batches.left_out == 5
    with pytest.raises(InputError, match=r"1\.png"):
        list(EvaluationBatches(images, 4))


def test_stored_features_travel_in_place_of_images(tmp_path: Path) -> None:
    examples = make_examples(tmp_path, CAPTIONS[:3])
    array = np.arange(12, dtype=np.float16).reshape(3, 2, 2)
    array[1] = np.nan
    tokens, _ = encode_captions(examples, VOCABULARY, max_words=20)
    stored = make_stored(array, [example.image for example in examples], tmp_path)
    images = CaptionedImages(examples, tokens, stored)
    (batch,) = EvaluationBatches(images, 4, num_workers=2, on_bad_image="skip")
    assert batch.images is None
    assert batch.image_ids == (0, 2)
    assert batch.features.tolist() == array[[0, 2]].tolist()
    assert len(captions_by_image(batch)[2]) == 3
