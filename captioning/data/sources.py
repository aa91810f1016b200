"""The published data sets that can be prepared: addresses, checksums and numbers of images."""

from pathlib import Path

from captioning.data.flickr import Flickr
from captioning.data.karpathy import Karpathy
from captioning.data.published import Archive, Part, Published
from captioning.downloads.remote import Remote
from captioning.files import MEGABYTE

# Sizes and SHA-256 of COCO's and Karpathy's files, as recorded by TensorFlow Datasets
# (github.com/tensorflow/datasets, tensorflow_datasets/url_checksums/coco_captions.txt).
_COCO = "http://images.cocodataset.org"
_ANNOTATIONS_2014 = Remote(
    f"{_COCO}/annotations/annotations_trainval2014.zip",
    252_872_794,
    "sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
)
_TRAIN_2014 = Remote(
    f"{_COCO}/zips/train2014.zip",
    13_510_573_713,
    "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
)
_VAL_2014 = Remote(
    f"{_COCO}/zips/val2014.zip",
    6_645_013_297,
    "sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
)
_KARPATHY = Remote(
    "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
    36_745_453,
    "sha256:4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817",
)

# The authors' own host is gone. The MD5 sums are those checked by torchvision for R
# (github.com/mlverse/torchvision, R/dataset-flickr.R).
_FLICKR8K = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_FLICKR8K_TEXT = Remote(
    f"{_FLICKR8K}/Flickr8k_text.zip", None, "md5:bf6c1abcb8e4a833b7f922104de18627"
)
_FLICKR8K_IMAGES = Remote(
    f"{_FLICKR8K}/Flickr8k_Dataset.zip", None, "md5:f18a1e2920de5bd84dae7cf08ec78978"
)


def _karpathy(name: str, unpacked: int) -> Archive:
    """Return Karpathy's archive with the file of one data set as its part."""
    file = f"dataset_{name}.json"
    return Archive("caption_datasets.zip", (Part(file, file),), unpacked, _KARPATHY)


def _as_named(*files: str) -> tuple[Part, ...]:
    return tuple(Part(file, Path(file).name) for file in files)


COCO = Published(
    archives=(
        _karpathy("coco", 150 * MEGABYTE),
        Archive(
            "annotations_trainval2014.zip",
            _as_named("annotations/captions_train2014.json", "annotations/captions_val2014.json"),
            110 * MEGABYTE,
            _ANNOTATIONS_2014,
        ),
        Archive("val2014.zip", (Part("val2014", "val2014", 40_504),), 7_000 * MEGABYTE, _VAL_2014),
        Archive(
            "train2014.zip",
            (Part("train2014", "train2014", 82_783),),
            14_000 * MEGABYTE,
            _TRAIN_2014,
        ),
    ),
    examples={"train": 113_287, "val": 5_000, "test": 5_000},
    reader=lambda folder: Karpathy("coco", str(folder / "dataset_coco.json"), str(folder)),
)

FLICKR8K = Published(
    archives=(
        Archive(
            "Flickr8k_text.zip",
            (
                Part("captions.txt", "Flickr8k.token.txt"),
                *_as_named(*(f"Flickr_8k.{split}Images.txt" for split in ("train", "dev", "test"))),
            ),
            10 * MEGABYTE,
            _FLICKR8K_TEXT,
        ),
        Archive(
            "Flickr8k_Dataset.zip",
            (Part("Images", "Flicker8k_Dataset", 8_091),),
            1_200 * MEGABYTE,
            _FLICKR8K_IMAGES,
        ),
    ),
    examples={"train": 6_000, "val": 1_000, "test": 1_000},
    reader=lambda folder: Flickr(
        "flickr8k",
        str(folder / "captions.txt"),
        str(folder / "Images"),
        {
            split: str(folder / f"Flickr_8k.{name}Images.txt")
            for split, name in (("train", "train"), ("val", "dev"), ("test", "test"))
        },
    ),
)

FLICKR30K = Published(
    archives=(
        _karpathy("flickr30k", 40 * MEGABYTE),
        Archive(
            "flickr30k-images.tar.gz",
            (Part("flickr30k-images", "flickr30k-images", 31_783),),
            4_600 * MEGABYTE,
            remote=None,
            page="https://shannon.cs.illinois.edu/DenotationGraph/",
        ),
    ),
    examples={"train": 29_000, "val": 1_014, "test": 1_000},
    reader=lambda folder: Karpathy(
        "flickr30k", str(folder / "dataset_flickr30k.json"), str(folder / "flickr30k-images")
    ),
)

PUBLISHED = {"coco": COCO, "flickr8k": FLICKR8K, "flickr30k": FLICKR30K}
