"""How fast the readers are on files as large as COCO's, against the JSON parser alone.

    python tests/benchmarks/bench_readers.py

Peak memory is Python's own allocation as tracemalloc counts it, in a second pass of its own.
"""

import gc
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from captioning.data.coco import read_coco
from captioning.data.karpathy import read_karpathy

IMAGES = 118_287  # COCO train2017
WORDS = ["a", "man", "riding", "a", "wave", "on", "top", "of", "a", "surfboard"]


def write_coco(path: Path) -> None:
    """A file as large as COCO's, about 90 MB with the addresses that come with every image."""
    address = "http://images.example.org/some_folder/some_user/0000000000_0000000000_z.jpg"
    images = [
        {"license": 3, "file_name": f"{i:012d}.jpg", "coco_url": address, "height": 480}
        | {"width": 640, "date_captured": "2013-11-21 01:37:46", "flickr_url": address, "id": i}
        for i in range(IMAGES)
    ]
    annotations = [
        {"image_id": i % IMAGES, "id": i, "caption": f"{' '.join(WORDS)} {i}."}
        for i in range(5 * IMAGES)
    ]
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations}))


def write_karpathy(path: Path) -> None:
    """The same captions as Karpathy's file has them: written out, and once more word by word."""
    images = [
        {"filepath": "train2014", "filename": f"{i:012d}.jpg", "imgid": i, "cocoid": i}
        | {"split": "train", "sentids": list(range(5 * i, 5 * i + 5))}
        | {
            "sentences": [
                {"tokens": [*WORDS, str(j)], "raw": f"{' '.join(WORDS)} {j}.", "imgid": i}
                | {"sentid": 5 * i + j}
                for j in range(5)
            ]
        }
        for i in range(IMAGES)
    ]
    path.write_text(json.dumps({"images": images, "dataset": "coco"}))


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds, and the peak of memory in MB."""
    gc.collect()
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak / 1e6


def main() -> None:
    """Print CPU seconds and peak memory of each reader, and their ratios to `json.loads`."""
    with tempfile.TemporaryDirectory() as name:
        coco, karpathy = Path(name, "coco.json"), Path(name, "karpathy.json")
        write_coco(coco)
        write_karpathy(karpathy)
        folder = Path("images")
        readers: dict[Path, Callable[[], object]] = {
            coco: lambda: read_coco(coco, folder),
            karpathy: lambda: read_karpathy(karpathy, folder, "train"),
        }
        for path, read in readers.items():
            plain, plain_peak = measure(lambda path=path: json.loads(path.read_text()))
            seconds, peak = measure(read)
            print(
                f"{path.stem:9}  json.loads {plain:5.2f} s {plain_peak:5.0f} MB   "
                f"reader {seconds:5.2f} s {peak:5.0f} MB   "
                f"ratio {seconds / plain:.2f} in time, {peak / plain_peak:.2f} in memory"
            )


if __name__ == "__main__":
    main()
