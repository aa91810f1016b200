"""BLEU: pycocoevalcap's numbers, hand-worked counts, sums."""

import math

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu

from captioning.metrics.bleu import bleu, bleu_counts
from tests.metrics.word_soup import soup


def pycocoevalcap_bleu(candidates, references):
    groups = {i: [" ".join(caption) for caption in group] for i, group in enumerate(references)}
    corpus, per_image = Bleu(4).compute_score(
        groups, {i: [" ".join(caption)] for i, caption in enumerate(candidates)}, verbose=0
    )
    return np.array(corpus), np.array(per_image)


@pytest.mark.parametrize("seed", range(5))
def test_the_corpus_and_each_image_score_as_in_pycocoevalcap(seed):
    generator = np.random.default_rng(seed)
    references = soup(generator, images=60)
    candidates = [group[0] for group in soup(generator, images=60)]
    counts = bleu_counts(candidates, references)
    corpus, per_image = pycocoevalcap_bleu(candidates, references)
    for order in range(1, 5):
        np.testing.assert_allclose(bleu(counts, order), per_image[order - 1], rtol=1e-12)
        total = bleu(counts.sum(axis=0, keepdims=True), order)
        np.testing.assert_allclose(total, corpus[order - 1], rtol=1e-12)
    assert corpus[1] > 0.05  # there is something to compare


def test_counts_worked_by_hand():
    candidate = list("abcabcad")  # each letter a word
    references = [list("abxyazw"), list("abcadxycab")]
    # One reference has a three times, b and c twice and d once; ab and ca twice, bc and ad once; of
    # three words abc, bca, cab and cad.
    counts = bleu_counts([candidate], [references])
    assert counts.tolist() == [[8, 7, 8, 6, 4, 2, 8, 7, 6, 5]]


def test_of_two_references_as_near_in_length_the_shorter_counts():
    lengths = bleu_counts([["w"] * 5] * 2, [[["w"] * 7, ["w"] * 3], [["w"] * 3, ["w"] * 7]])[:, 1]
    assert lengths.tolist() == [3, 3]


def test_a_short_candidate_is_punished_by_the_exponential_of_its_shortness():
    counts = bleu_counts([["a", "b"]], [[["a", "b", "c"]]])
    assert bleu(counts, 2).item() == pytest.approx(math.exp(1 - 3 / 2))


def test_empty_candidates_score_zero_even_if_all_are_empty():
    counts = bleu_counts([[], []], [[["a"]], [[], ["b", "c"]]])
    assert counts.tolist() == [[0, 1, *[0] * 8], [0] * 10]
    assert bleu(counts, 1).tolist() == [0, 0]
