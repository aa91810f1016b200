"""CIDEr-D: pycocoevalcap's numbers, a slow obvious reference, hand-worked values, limits."""

import json
import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from pycocoevalcap.cider.cider import Cider

from captioning.errors import InputError
from captioning.metrics import CiderD, document_frequencies


def random_captions(generator, images, captions_per_image, words=12, longest=9):
    """Ragged captions over few words, so that n-grams repeat within and across captions."""
    return [
        [
            generator.integers(words, size=generator.integers(longest + 1)).tolist()
            for _ in range(generator.integers(1, captions_per_image + 1))
        ]
        for _ in range(images)
    ]


def as_words(caption):
    return " ".join(f"w{token}" for token in caption)


def pycocoevalcap_cider(candidates, references):
    """Corpus score and score of each image by the library."""
    return Cider().compute_score(
        {i: [as_words(caption) for caption in group] for i, group in enumerate(references)},
        {i: [as_words(caption)] for i, caption in enumerate(candidates)},
    )


def counts(caption, order):
    return Counter(tuple(caption[i : i + order]) for i in range(len(caption) - order + 1))


def slow_ciderd(candidate, references, corpus, sigma=6.0):
    """One score by the formula of the paper, with the clipping and the penalty of CIDEr-D."""

    def weight(ngram):
        inside = [any(counts(c, len(ngram))[ngram] for c in group) for group in corpus]
        return math.log(len(corpus)) - math.log(max(1, sum(inside)))

    total = 0.0
    for reference in references:
        for order in range(1, 5):
            mine, theirs = counts(candidate, order), counts(reference, order)
            norm = math.prod(
                math.sqrt(sum((n * weight(g)) ** 2 for g, n in side.items()))
                for side in (mine, theirs)
            )
            dot = sum(min(mine[g], theirs[g]) * theirs[g] * weight(g) ** 2 for g in mine)
            lengths = [max(0, len(caption) - 1) for caption in (candidate, reference)]
            penalty = math.exp(-((lengths[0] - lengths[1]) ** 2) / (2 * sigma**2))
            total += penalty * dot / norm if norm else 0.0
    return 10 * total / (4 * len(references))


@pytest.mark.parametrize("seed", range(5))
def test_each_score_and_the_mean_equal_pycocoevalcaps(seed):
    generator = np.random.default_rng(seed)
    references = random_captions(generator, images=40, captions_per_image=5)
    candidates = [group[0] for group in random_captions(generator, 40, 1)]
    scores = CiderD(references).score(candidates)
    corpus, per_image = pycocoevalcap_cider(candidates, references)
    np.testing.assert_allclose(scores, per_image, atol=1e-12)
    assert scores.mean() == pytest.approx(corpus, abs=1e-12)
    assert corpus > 0.1  # there is something to compare


def test_frequencies_of_another_corpus_follow_the_formula_new_words_included():
    generator = np.random.default_rng(0)
    references = random_captions(generator, images=8, captions_per_image=3, words=15)
    corpus = random_captions(generator, images=20, captions_per_image=2, words=10)
    candidates = [group[0] for group in random_captions(generator, 8, 1, words=15)]
    scores = CiderD(references, document_frequencies(corpus)).score(candidates)
    expected = [slow_ciderd(c, r, corpus) for c, r in zip(candidates, references, strict=True)]
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_a_candidate_equal_to_its_reference_scores_ten_and_less_where_orders_are_missing():
    references = [[[1, 2, 3, 4]], [[5, 6]], [[7]]]
    scores = CiderD(references).score([[1, 2, 3, 4], [5, 6], [7]])
    np.testing.assert_allclose(scores, [10, 5, 2.5])


def test_a_score_worked_by_hand():
    # All words weigh log 2. Of one order: the cosine of (1, 1) and (1, 1, 1) is 2 / sqrt(6); of two
    # orders: that of one pair and two pairs is 1 / sqrt(2). Lengths 1 and 2 give exp(-1 / 72).
    scores = CiderD([[[1, 2, 3]], [[9]]]).score([[1, 2], [1]])
    expected = 10 / 4 * (2 / math.sqrt(6) + 1 / math.sqrt(2)) * math.exp(-1 / 72)
    assert scores[0] == pytest.approx(expected)
    assert scores[1] == 0


def test_a_repeated_word_is_clipped_to_the_times_of_the_reference():
    once, thrice = CiderD([[[1, 2]], [[9]]]).score([[1, 1, 1], [1]], images=[0, 0])
    assert once == pytest.approx(10 / 4 * (1 / math.sqrt(2) / 3) * math.exp(-1 / 72))
    assert thrice == pytest.approx(10 / 4 / math.sqrt(2) * math.exp(-1 / 72))


def test_words_score_as_token_ids_do():
    generator = np.random.default_rng(1)
    references = random_captions(generator, images=10, captions_per_image=3)
    candidates = [group[0] for group in references]
    ids = CiderD(references).score(candidates)
    words = CiderD([[as_words(c).split() for c in group] for group in references])
    np.testing.assert_allclose(words.score([as_words(c).split() for c in candidates]), ids)


def test_many_candidates_of_one_image_score_as_each_alone_bit_for_bit():
    generator = np.random.default_rng(2)
    references = random_captions(generator, images=6, captions_per_image=4)
    candidates = [group[0] for group in random_captions(generator, 30, 1)]
    images = generator.integers(6, size=30)
    ciderd = CiderD(references)
    alone = [ciderd.score([c], [i]).item() for c, i in zip(candidates, images, strict=True)]
    assert ciderd.score(candidates, images).tolist() == alone


def test_an_appended_end_of_sentence_rewards_ending_where_references_end():
    complete, broken, end = [1, 2, 3, 4, 1, 5], [1, 2, 3, 4, 1], 0
    plain = CiderD([[complete], [[6, 7, 8]]])
    ended = CiderD([[[*complete, end]], [[6, 7, 8, end]]])
    assert plain.score([broken, broken], [0, 0])[0] > 5
    assert ended.score([[*complete, end]], [0]) == pytest.approx(10)
    # Cut short, it loses the n-grams that end in the end of sentence.
    assert ended.score([[*broken, end]], [0]) < plain.score([broken], [0])


def test_an_empty_candidate_scores_zero_alone_and_among_others():
    ciderd = CiderD([[[1, 2]], [[3, 4]]])
    assert ciderd.score([[], []]).tolist() == [0, 0]
    np.testing.assert_allclose(ciderd.score([[], [3, 4]]), [0, 5])
    assert ciderd.score([], images=[]).shape == (0,)


def test_references_of_a_single_image_weigh_nothing_as_in_pycocoevalcap():
    assert CiderD([[[1, 2, 3]]]).score([[1, 2, 3]]).tolist() == [0]
    assert pycocoevalcap_cider([[1, 2, 3]], [[[1, 2, 3]]])[0] == 0


def test_document_frequencies_count_images_not_occurrences():
    frequencies = document_frequencies([[[1, 1, 1], [1]], [[1, 2]], [[3]]])
    assert frequencies.images == 3
    # 1 in two images; 2, 3, (1, 1), (1, 1, 1) and (1, 2) in one.
    assert sorted(frequencies.counts.tolist()) == [1, 1, 1, 1, 1, 2]


def test_words_have_the_same_code_in_another_process():
    references = [[["a", "cat"]], [["a", "dog"]]]
    code = (
        f"from captioning.metrics import *; print(document_frequencies({references}).ngrams.sum())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == document_frequencies(references).ngrams.sum()


def test_scoring_changes_nothing_and_repeats_itself():
    references, candidates = [[[1, 2], [2, 3]], [[4]]], [[1, 2, 3], [4]]
    ciderd = CiderD(references)
    assert ciderd.score(candidates).tolist() == ciderd.score(candidates).tolist()
    assert (references, candidates) == ([[[1, 2], [2, 3]], [[4]]], [[1, 2, 3], [4]])


def test_bad_references_and_candidates_are_told_in_one_line():
    ciderd = CiderD([[[1]], [[2]]])
    with pytest.raises(InputError, match="image 1 of the references has no caption"):
        CiderD([[[1]], []])
    with pytest.raises(InputError, match="the references hold no word"):
        CiderD([[[]]])
    with pytest.raises(InputError, match=r"got strings: use caption\.split\(\)"):
        CiderD([["a cat"]])
    with pytest.raises(InputError, match=r"got strings: use caption\.split\(\)"):
        ciderd.score(["a cat", "a dog"])
    with pytest.raises(InputError, match="one image for each of the 1 candidates, got 2 images"):
        ciderd.score([[1]])
    with pytest.raises(InputError, match="positions among the 2 images"):
        ciderd.score([[1]], images=[2])


@pytest.mark.slow
def test_scores_of_real_captions_equal_pycocoevalcaps(data_root):
    path = data_root("scores") / "captions_val2017.json"
    groups = {}
    for annotation in json.loads(path.read_text(encoding="utf-8"))["annotations"]:
        words = annotation["caption"].lower().replace(".", " ").split()
        groups.setdefault(annotation["image_id"], []).append(words)
    candidates = [group[0] for group in groups.values()]
    references = [group[1:] for group in groups.values()]
    scores = CiderD(references).score(candidates)
    corpus, per_image = pycocoevalcap_cider(candidates, references)
    np.testing.assert_allclose(scores, per_image, atol=1e-6)
    assert scores.mean() == pytest.approx(corpus, abs=1e-6)
