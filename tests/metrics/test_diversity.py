"""How varied captions are, on sets small enough to count."""

import math
import random

import pytest
from pycocoevalcap.bleu.bleu import Bleu

from captioning.metrics import distinct_captions, diversity, mutual_bleu
from captioning.metrics.diversity import distinct_ngrams, enders

CAT, DOG = ["a", "cat", "on", "a", "mat"], ["a", "dog", "on", "a", "mat"]


def spoken(count: int, seed: int) -> list[list[str]]:
    """Captions of few words, so that they repeat themselves and each other."""
    generator = random.Random(seed)
    return [generator.choices("abcdef", k=generator.randint(3, 9)) for _ in range(count)]


def against_the_others(captions: list[list[str]]) -> tuple[dict, dict]:
    """References and candidates as pycocoevalcap takes them, each caption held out in turn."""
    texts = [" ".join(caption) for caption in captions]
    others = {place: texts[:place] + texts[place + 1 :] for place in range(len(texts))}
    return others, {place: [text] for place, text in enumerate(texts)}


def test_the_share_of_distinct_captions_counts_each_but_once() -> None:
    assert distinct_captions(["a cat", "a dog", "a cat", "a cat"]) == 0.5
    assert distinct_captions(["a cat"]) == 1.0


def test_distinct_ngrams_are_counted_over_all_words() -> None:
    assert distinct_ngrams([CAT, DOG], 1) == 5 / 10  # a, cat, dog, on, mat
    assert distinct_ngrams([CAT, DOG], 2) == 6 / 10  # a cat, cat on, a dog, dog on, on a, a mat
    assert distinct_ngrams([[]], 1) == 0


def test_self_bleu_worked_by_hand() -> None:
    # Of five words four are the other's (both "a"), of four pairs two, of three triples one.
    assert mutual_bleu([[CAT, DOG]], order=3) == pytest.approx((4 / 5 * 2 / 4 * 1 / 3) ** (1 / 3))
    assert mutual_bleu([[CAT, DOG]]) == 0  # no four words in a row


def test_counts_are_clipped_at_the_most_that_another_has() -> None:
    # "a a a" may count "a" twice, as "a a" has it; "a a" may count both of its own.
    assert mutual_bleu([[["a"] * 3, ["a"] * 2]], order=1) == pytest.approx(4 / 5)


def test_captions_shorter_than_the_closest_of_the_others_are_punished() -> None:
    long = ["a", "b", "c"]
    assert mutual_bleu([[["a"], long, long]], order=1) == pytest.approx(math.exp(1 - 9 / 7))


@pytest.mark.parametrize("seed", range(3))
def test_self_bleu_is_bleu_with_each_caption_held_out(seed: int) -> None:
    captions = spoken(30, seed)
    slow, _ = Bleu(4).compute_score(*against_the_others(captions), verbose=0)
    for order in range(1, 5):
        assert mutual_bleu([captions], order) == pytest.approx(slow[order - 1], abs=1e-6)


def test_mutual_bleu_knows_only_the_samples_of_the_same_image() -> None:
    sets = [spoken(4, seed) for seed in range(5)]
    references, candidates = {}, {}
    for number, captions in enumerate(sets):
        for found, into in zip(against_the_others(captions), (references, candidates), strict=True):
            into.update({(number, place): texts for place, texts in found.items()})
    slow, _ = Bleu(4).compute_score(references, candidates, verbose=0)
    assert mutual_bleu(sets) == pytest.approx(slow[3], abs=1e-6)


def test_no_caption_is_its_own_reference_and_nothing_is_kept_between_calls() -> None:
    apart = [["one"], ["two"], ["three"]]
    assert mutual_bleu([apart], order=1) == 0
    assert mutual_bleu([[*apart, ["two"]]], order=1) == 0.5
    assert mutual_bleu([apart], order=1) == 0


def test_the_same_caption_for_all_has_self_bleu_one_and_a_caption_alone_has_none() -> None:
    assert mutual_bleu([[CAT] * 3]) == 1
    assert mutual_bleu([[CAT], [DOG]]) == mutual_bleu([]) == 0


def test_diversity_beside_the_training_captions() -> None:
    found = diversity([CAT, DOG, ["a", "yak"]], [CAT, CAT, ["the", "cat"]])
    assert (found.distinct_1, found.distinct_2) == (6 / 12, 7 / 12)
    assert found.words == 6
    assert found.vocabulary_share == 4 / 5  # a, cat, on, mat of these and "the"
    assert found.novel == 2 / 3
    assert (found.length, found.length_50) == (4, 5)
    assert found.length_deviation == pytest.approx(math.sqrt(2))
    assert 2 < found.length_5 < found.length_50 == found.length_95


def test_a_word_may_end_a_caption_if_it_does_so_in_a_hundredth_of_its_uses() -> None:
    captions = [["a", "cat", "on", "a", "mat"]] * 60 + [["cat"]] + [["a", "cat", "on", "a"]]
    assert enders(captions) == {"mat", "cat"}  # "a" ends one of 122 uses, "cat" one of 62
    assert enders(captions, least=1 / 122) == {"mat", "cat", "a"}
    assert enders([[]]) == set()


def test_captions_end_badly_where_no_training_caption_does() -> None:
    training = [["a", "cat"], ["a", "dog", "barks"]]
    said = [["a", "dog"], ["a", "cat"], [], ["barks"]]
    assert diversity(said, training).bad_endings == 0.5


def test_captions_without_words_have_no_diversity_but_no_failure_either() -> None:
    found = diversity([[], []], [])
    assert (found.distinct_1, found.self_bleu_4, found.words, found.vocabulary_share) == (0,) * 4
    assert found.novel == found.bad_endings == 1
