"""ROUGE-L: pycocoevalcap's numbers, a slow obvious reference, hand-worked values."""

import numpy as np
import pytest
from pycocoevalcap.rouge.rouge import Rouge

from captioning.metrics.rouge import common_lengths, rouge_l
from tests.metrics.word_soup import soup


def slow_common_length(mine, theirs):
    """The longest common subsequence by its definition."""
    if not mine or not theirs:
        return 0
    if mine[-1] == theirs[-1]:
        return 1 + slow_common_length(mine[:-1], theirs[:-1])
    return max(slow_common_length(mine[:-1], theirs), slow_common_length(mine, theirs[:-1]))


def test_common_subsequences_are_as_long_as_by_their_definition():
    generator = np.random.default_rng(0)
    mine = generator.integers(3, size=(6, 40))
    theirs = generator.integers(3, size=(7, 40))
    expected = [
        slow_common_length(a, b) for a, b in zip(mine.T.tolist(), theirs.T.tolist(), strict=True)
    ]
    assert common_lengths(mine, theirs).tolist() == expected
    assert len(set(expected)) > 2


@pytest.mark.parametrize("seed", range(5))
def test_each_image_scores_as_in_pycocoevalcap_empty_and_long_captions_too(seed):
    generator = np.random.default_rng(seed)
    # An empty caption is one empty word, as Python's " ".split makes it. The images are more than
    # are compared at a time.
    references = [[caption or [""] for caption in group] for group in soup(generator, images=300)]
    candidates = [group[0] or [""] for group in soup(generator, images=300)]
    references[7].append(candidates[7] * 40)
    _, expected = Rouge().compute_score(
        {i: [" ".join(caption) for caption in group] for i, group in enumerate(references)},
        {i: [" ".join(caption)] for i, caption in enumerate(candidates)},
    )
    np.testing.assert_allclose(rouge_l(candidates, references), expected, rtol=1e-12)


def test_the_best_precision_and_the_best_recall_may_be_of_two_references():
    candidate = ["a", "b", "c"]
    references = [["b"], ["a", "x", "b", "c", "y", "z"]]
    # Recall 1 by the first, precision 1 by the second: the F-measure of these is 1.
    assert rouge_l([candidate], [references]).item() == pytest.approx(1)
    precision, recall = 1 / 3, 1
    alone = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l([candidate], [references[:1]]).item() == pytest.approx(alone)
