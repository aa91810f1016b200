"""Readers of data sets and of their images."""

from captioning.data.coco import Coco
from captioning.data.dataset import Dataset, Example, ImageId
from captioning.data.flickr import Flickr
from captioning.data.image import ImageError, open_image
from captioning.data.karpathy import Karpathy
from captioning.data.manifest import Manifest
from captioning.data.paths import locate
from captioning.data.shapes import Shapes
from captioning.data.shards import Shards

__all__ = [
    "Coco",
    "Dataset",
    "Example",
    "Flickr",
    "ImageError",
    "ImageId",
    "Karpathy",
    "Manifest",
    "Shapes",
    "Shards",
    "locate",
    "open_image",
]
