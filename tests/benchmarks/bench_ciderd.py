"""The CIDEr-D reward of 300 captions, five references each: dictionaries of n-grams against arrays.

    python tests/benchmarks/bench_ciderd.py

Captions are those of COCO val2017 where CAPTIONING_DATA has them, otherwise random ones of the same
lengths. Document frequencies come from all 5,000 images, made beforehand; only pycocoevalcap's
`Cider` has no way but to count those of the 300 at each call. Equal scores are checked first.
"""

import json
import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pycocoevalcap.cider.cider import Cider

from captioning.metrics import CiderD

CANDIDATES, IMAGES, ROUNDS = 300, 5000, 9
Caption = list[int]
Work = Callable[[], object]
Vector = tuple[list[dict[tuple[int, ...], float]], list[float], int]


def real_captions(path: Path) -> list[list[Caption]]:
    """The published captions as token ids, five or six of each image."""
    vocabulary: dict[str, int] = {}
    groups = defaultdict(list)
    for annotation in json.loads(path.read_text(encoding="utf-8"))["annotations"]:
        words = annotation["caption"].lower().replace(".", " ").replace(",", " ").split()
        tokens = [vocabulary.setdefault(word, len(vocabulary)) for word in words]
        groups[annotation["image_id"]].append(tokens)
    return list(groups.values())


def random_captions(generator: np.random.Generator) -> list[list[Caption]]:
    """Six captions of each image: words by Zipf's law, lengths as in COCO (10.4 on average)."""
    lengths = generator.normal(10.4, 2.3, size=(IMAGES, 6)).round().clip(5, 30).astype(int)
    return [[generator.zipf(1.3, size=n).clip(max=9000).tolist() for n in row] for row in lengths]


def counts(caption: Caption) -> Counter[tuple[int, ...]]:
    """How often each n-gram occurs."""
    starts = range(len(caption))
    grams = (
        tuple(caption[i : i + n]) for n in range(1, 5) for i in starts if i + n <= len(caption)
    )
    return Counter(grams)


def vector(caption: Caption, frequencies: Counter[tuple[int, ...]], log_images: float) -> Vector:
    """Weighted counts of each order, their norms, and the length."""
    weighted: list[dict[tuple[int, ...], float]] = [{}, {}, {}, {}]
    for gram, times in counts(caption).items():
        weight = log_images - math.log(max(1, frequencies[gram]))
        weighted[len(gram) - 1][gram] = times * weight
    norms = [math.sqrt(sum(value**2 for value in order.values())) for order in weighted]
    return weighted, norms, len(caption)


def plain_ciderd(candidate: Vector, references: list[Vector]) -> float:
    """One score, n-gram by n-gram."""
    total = 0.0
    for weighted, norms, length in references:
        penalty = math.exp(-((candidate[2] - length) ** 2) / 72)
        for n in range(4):
            dot = sum(
                min(value, weighted[n].get(gram, 0.0)) * weighted[n].get(gram, 0.0)
                for gram, value in candidate[0][n].items()
            )
            if dot:
                total += penalty * dot / (candidate[1][n] * norms[n])
    return 10 * total / (4 * len(references))


def dictionaries(candidates: list[Caption], references: list[list[Caption]]) -> list[Work]:
    """The plain code, with references counted at each call and beforehand."""
    grams = (gram for group in references for gram in set().union(*map(counts, group)))
    frequencies, log_images = Counter(grams), math.log(len(references))

    def vectors(captions: list[Caption]) -> list[Vector]:
        return [vector(caption, frequencies, log_images) for caption in captions]

    ready = [vectors(group) for group in references[:CANDIDATES]]
    return [
        lambda: [
            plain_ciderd(mine, vectors(group))
            for mine, group in zip(vectors(candidates), references, strict=False)
        ],
        lambda: [plain_ciderd(*pair) for pair in zip(vectors(candidates), ready, strict=True)],
    ]


def pycocoevalcap(candidates: list[Caption], references: list[list[Caption]]) -> Work:
    """The library on the same captions, as the text that it takes."""
    texts = {i: [" ".join(map(str, c)) for c in group] for i, group in enumerate(references)}
    texts_of_candidates = {i: [" ".join(map(str, c))] for i, c in enumerate(candidates)}
    return lambda: Cider().compute_score(texts, texts_of_candidates)[1]


def medians(works: dict[str, Work]) -> dict[str, float]:
    """Median CPU seconds of each work, taking turns, so that a noisy moment strikes all."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            start = time.process_time()
            work()
            seconds[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def main() -> None:
    path = Path(os.environ.get("CAPTIONING_DATA", ""), "scores", "captions_val2017.json")
    groups = real_captions(path) if path.exists() else random_captions(np.random.default_rng(0))
    candidates = [group[0] for group in groups[:CANDIDATES]]
    references = [group[1:6] for group in groups]
    images = np.arange(CANDIDATES)

    start = time.process_time()
    ciderd = CiderD(references)
    ready = time.process_time() - start
    library = pycocoevalcap(candidates, references[:CANDIDATES])
    each_call, beforehand = dictionaries(candidates, references)
    scores = ciderd.score(candidates, images)
    np.testing.assert_allclose(scores, each_call(), atol=1e-9)
    np.testing.assert_allclose(scores, beforehand(), atol=1e-9)
    alone = CiderD(references[:CANDIDATES]).score(candidates)
    np.testing.assert_allclose(alone, library(), atol=1e-9)

    ours = "captioning.metrics.CiderD"
    works: dict[str, Work] = {
        "pycocoevalcap's Cider": library,
        "dictionaries, references counted at each call": each_call,
        "dictionaries, references counted beforehand": beforehand,
        ours: lambda: ciderd.score(candidates, images),
        "  the same, 6 candidates of each of 50 images": lambda: ciderd.score(
            candidates, images // 6
        ),
    }
    seconds = medians(works)
    print("captions of COCO val2017" if path.exists() else "random captions")
    for name, value in seconds.items():
        print(f"{name:46} {1000 * value:8.2f} ms {value / seconds[ours]:6.1f}x")
    print(f"{'made beforehand, once for all 5,000 images':46} {1000 * ready:8.0f} ms")


if __name__ == "__main__":
    main()
