"""A data set, read as configured, to batches for training and evaluation."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from captioning.captioner import Captioner
from captioning.data.batching import (
    CaptionedPictures,
    EvaluationBatches,
    OnBadImage,
    TrainingBatches,
    encode_captions,
)
from captioning.data.dataset import Example
from captioning.data.pictures import ImageFiles, StoredFeatures
from captioning.errors import InputError
from captioning.features import open_pictures
from captioning.text import Vocabulary

# Pictures that a standardisation is measured on: enough for means and deviations, yet read at once.
MEASURED = 1000


@dataclass
class Loading:
    """How data become batches.

    Args:
        batch_size: Pictures in a batch of each process; each comes once, with all the captions
            drawn for it. With more processes a step is on more pictures.
        captions_per_image: Captions drawn for a picture, anew at each epoch; null: all of them.
        max_words: Words after which a caption is cut off in training and in the likelihood of
            validation; how long generated captions may be is the search's own setting.
        minimum_count: How often the training captions must say a word for it to be known.
        num_workers: Processes that open pictures.
        on_bad_image: Stop at a picture that cannot be opened, or leave it out and count it.
        feature_cache: Folder for the features of frozen encoders.
    """

    batch_size: int = 50
    captions_per_image: int | None = 5
    max_words: int = 20
    minimum_count: int = 5
    num_workers: int = 2
    on_bad_image: OnBadImage = "error"
    feature_cache: str = "data/features"

    def __post_init__(self) -> None:
        """Refuse what no data could be read with."""
        for name in ("batch_size", "captions_per_image", "max_words", "minimum_count"):
            value = vars(self)[name]
            if value is not None and value < 1:
                raise InputError(f"loading.{name} must be 1 or more, got {value}")
        if self.num_workers < 0:
            raise InputError(f"loading.num_workers must be 0 or more, got {self.num_workers}")


def build_vocabulary(examples: Sequence[Example], loading: Loading) -> Vocabulary:
    """Collect the words of the training split."""
    captions = [caption for example in examples for caption in example.captions]
    return Vocabulary.build(captions, loading.minimum_count)


def training_batches(
    examples: Sequence[Example], captioner: Captioner, loading: Loading, name: str, seed: int
) -> TrainingBatches:
    """Prepare the training split; say how many captions are too long."""
    tokens, longer = encode_captions(examples, captioner.vocabulary, loading.max_words)
    if longer:
        total = sum(len(captions) for captions in tokens)
        print(
            f"{name}: {longer:,} of {total:,} training captions are longer than "
            f"--loading.max_words {loading.max_words} and are cut off there",
            file=sys.stderr,
        )
    pictures = CaptionedPictures(
        examples,
        tokens,
        open_split(examples, captioner, loading, name),
        loading.captions_per_image,
        seed,
    )
    return TrainingBatches(pictures, loading.batch_size, loading.num_workers, loading.on_bad_image)


def evaluation_batches(
    examples: Sequence[Example],
    captioner: Captioner,
    loading: Loading,
    name: str,
    whole: bool = False,
) -> EvaluationBatches:
    """Prepare a split of which every picture is seen once, with all its captions.

    Several processes share it by the picture or, with `whole`, by the batch.
    """
    tokens, _ = encode_captions(examples, captioner.vocabulary, loading.max_words)
    pictures = CaptionedPictures(examples, tokens, open_split(examples, captioner, loading, name))
    return EvaluationBatches(
        pictures, loading.batch_size, loading.num_workers, loading.on_bad_image, whole
    )


def open_split(
    examples: Sequence[Example], captioner: Captioner, loading: Loading, name: str
) -> ImageFiles | StoredFeatures:
    """Give the examples' pictures, or their features."""
    folder = Path(loading.feature_cache)
    return open_pictures(captioner.encoder, examples, folder, name, loading.num_workers)


def standardise(captioner: Captioner, batches: TrainingBatches) -> None:
    """Measure the features of a frozen encoder on some training pictures, evenly spread."""
    stored = batches.pictures.pictures
    if isinstance(stored, StoredFeatures):
        spread = range(0, len(stored), max(1, len(stored) // MEASURED))
        good = [each for each in map(stored.__getitem__, spread) if isinstance(each, Tensor)]
        if good:  # otherwise the first batch tells of the bad pictures
            captioner.standardise(torch.stack(good))
