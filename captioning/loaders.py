"""Turn a data set, as configured, into batches for training and evaluation."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from captioning.captioner import Captioner
from captioning.data.batching import (
    CaptionedImages,
    EvaluationBatches,
    OnBadImage,
    TrainingBatches,
    encode_captions,
)
from captioning.data.dataset import Example
from captioning.data.inputs import ImageFiles, StoredFeatures
from captioning.errors import InputError
from captioning.features import open_inputs
from captioning.text import Vocabulary

# Images that means and deviations of features are computed from: enough, yet quick to read.
MEASURED = 1000


@dataclass
class Loading:
    """How data become batches.

    Args:
        batch_size: Images per batch and process, each with all the captions drawn for it. With
            more processes, a step covers more images.
        captions_per_image: Captions drawn per image in each epoch; null for all of them.
        max_words: Words after which captions are cut off in training and in the validation
            likelihood; the length of generated captions is a setting of the search.
        minimum_count: Minimum number of times a word occurs in the training captions to be known.
        num_workers: Processes that open images.
        on_bad_image: Stop at an image that cannot be opened, or skip and count it.
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
        """Refuse settings with which no data could be read."""
        for name in ("batch_size", "captions_per_image", "max_words", "minimum_count"):
            value = vars(self)[name]
            if value is not None and value < 1:
                raise InputError(f"loading.{name} must be 1 or more, got {value}")
        if self.num_workers < 0:
            raise InputError(f"loading.num_workers must be 0 or more, got {self.num_workers}")


def build_vocabulary(examples: Sequence[Example], loading: Loading) -> Vocabulary:
    """Build the vocabulary of the training split."""
    captions = [caption for example in examples for caption in example.captions]
    return Vocabulary.build(captions, loading.minimum_count)


def training_batches(
    examples: Sequence[Example], captioner: Captioner, loading: Loading, name: str, seed: int
) -> TrainingBatches:
    """Prepare the training split; print how many captions are too long."""
    tokens, longer = encode_captions(examples, captioner.vocabulary, loading.max_words)
    if longer:
        total = sum(len(captions) for captions in tokens)
        print(
            f"{name}: {longer:,} of {total:,} training captions are longer than "
            f"--loading.max_words {loading.max_words} and are cut off there",
            file=sys.stderr,
        )
    images = CaptionedImages(
        examples,
        tokens,
        open_split(examples, captioner, loading, name),
        loading.captions_per_image,
        seed,
    )
    return TrainingBatches(images, loading.batch_size, loading.num_workers, loading.on_bad_image)


def evaluation_batches(
    examples: Sequence[Example],
    captioner: Captioner,
    loading: Loading,
    name: str,
    whole: bool = False,
) -> EvaluationBatches:
    """Prepare a split in which every image comes once, with all its captions.

    Several processes divide it by image or, with `whole`, by batch.
    """
    tokens, _ = encode_captions(examples, captioner.vocabulary, loading.max_words)
    images = CaptionedImages(examples, tokens, open_split(examples, captioner, loading, name))
    return EvaluationBatches(
        images, loading.batch_size, loading.num_workers, loading.on_bad_image, whole
    )


def open_split(
    examples: Sequence[Example], captioner: Captioner, loading: Loading, name: str
) -> ImageFiles | StoredFeatures:
    """Return the examples' images, or their features."""
    folder = Path(loading.feature_cache)
    return open_inputs(captioner.encoder, examples, folder, name, loading.num_workers)


def standardise(captioner: Captioner, batches: TrainingBatches) -> None:
    """Standardise a frozen encoder's features by evenly spaced training images."""
    stored = batches.images.inputs
    if isinstance(stored, StoredFeatures):
        spread = range(0, len(stored), max(1, len(stored) // MEASURED))
        good = [each for each in map(stored.__getitem__, spread) if isinstance(each, Tensor)]
        if good:  # otherwise the first batch reports the bad images
            captioner.standardise(torch.stack(good))
