"""A data set, read as configured, to batches for training and evaluation."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from captioning.captioner import Captioner
from captioning.data.dataset import Example
from captioning.data.loading import (
    CaptionedPictures,
    EvaluationBatches,
    OnBadImage,
    TrainingBatches,
    encode_captions,
)
from captioning.data.pictures import StoredFeatures
from captioning.features import open_pictures
from captioning.text import Vocabulary

# Pictures that a standardisation is measured on: enough for means and deviations, yet read at once.
MEASURED = 1000


@dataclass
class Loading:
    """How data become batches.

    Args:
        batch_size: Pictures in a batch; each comes once, with all the captions drawn for it.
        captions_per_image: Captions drawn for a picture, anew at each epoch; null: all of them.
        max_words: Words after which a training caption is cut off.
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


def build_vocabulary(examples: Sequence[Example], loading: Loading) -> Vocabulary:
    """Collect the words of the training split."""
    captions = [caption for example in examples for caption in example.captions]
    return Vocabulary.build(captions, loading.minimum_count)


def training_batches(
    examples: Sequence[Example], captioner: Captioner, loading: Loading, name: str, seed: int
) -> TrainingBatches:
    """Prepare the training split; say how many captions are too long."""
    pictures = captioned(examples, captioner, loading, name)
    pictures.captions_per_image, pictures.seed = loading.captions_per_image, seed
    return TrainingBatches(pictures, loading.batch_size, loading.num_workers, loading.on_bad_image)


def evaluation_batches(
    examples: Sequence[Example], captioner: Captioner, loading: Loading, name: str
) -> EvaluationBatches:
    """Prepare a split of which every picture is seen once, with all its captions."""
    pictures = captioned(examples, captioner, loading, name)
    return EvaluationBatches(
        pictures, loading.batch_size, loading.num_workers, loading.on_bad_image
    )


def captioned(
    examples: Sequence[Example], captioner: Captioner, loading: Loading, name: str
) -> CaptionedPictures:
    """Join pictures, or their features, with captions as ids."""
    tokens, longer = encode_captions(examples, captioner.vocabulary, loading.max_words)
    if longer:
        total = sum(len(captions) for captions in tokens)
        print(
            f"{name}: {longer:,} of {total:,} captions are longer than --loading.max_words "
            f"{loading.max_words} and are cut off there",
            file=sys.stderr,
        )
    paths = [example.image for example in examples]
    pictures = open_pictures(
        captioner.encoder, paths, Path(loading.feature_cache), name, loading.num_workers
    )
    return CaptionedPictures(examples, tokens, pictures)


def standardise(captioner: Captioner, batches: TrainingBatches) -> None:
    """Measure the features of a frozen encoder on some training pictures, evenly spread."""
    stored = batches.pictures.pictures
    if isinstance(stored, StoredFeatures):
        spread = range(0, len(stored), max(1, len(stored) // MEASURED))
        features = [stored[index] for index in spread]
        captioner.standardise(torch.stack([x for x in features if isinstance(x, torch.Tensor)]))
