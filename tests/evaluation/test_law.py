"""The law of a captioner beside a known one: by hand, by enumeration and against the slow way."""

import itertools
import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.decoder import Decoder, State, Words
from captioning.encoder import SmallCnn
from captioning.evaluation import law
from captioning.evaluation.law import DELTA, PRIORS, Measured
from captioning.search import Sampling
from captioning.search.ensemble import Ensemble
from captioning.text import BEGIN, END, PAD, SPECIAL
from tests.support.builders import DECODERS, VOCABULARY, make_captioner, make_decoder, make_features

# In any order; two are the same, some begin alike, one is END alone, the last was cut off.
ROWS = [[8, END], [4, 5, 6, END], [4, 5, END], [4, 5, 6, END], [END], [4, 4], [4, 5, 6, 7]]
OWNERS = [0, 2, 1, 2, 1, 0, 2]

Chances = Mapping[str, Mapping[str, float]]


class Bigram(Decoder):
    """Each token has a probability that the one before it decides alone: no image is seen."""

    def __init__(self, chances: Chances) -> None:
        """Take what may follow each word; "" is the beginning, and the end."""
        size = len(VOCABULARY)
        settings = {"vocabulary_size": size, "feature_size": 4}
        super().__init__(settings, embedding_size=size, output_size=size)
        table = torch.zeros(size, size)
        for before, following in chances.items():
            for after, chance in following.items():
                table[token(before, BEGIN), token(after, END)] = chance
        self.embedding.weight = torch.nn.Parameter(table.log().clamp(min=-1e4))
        self.output.weight = torch.nn.Parameter(torch.eye(size))

    def begin(self, features: Tensor, image_index: Tensor) -> State:
        return State(())

    def step(self, words: Words, state: State) -> tuple[Tensor, State]:
        return self.embed(words), state


def token(word: str, otherwise: int) -> int:
    return VOCABULARY.tokens.index(word) if word else otherwise


def bigram(chances: Chances) -> Captioner:
    encoder = SmallCnn(channels=4, image_size=16, features="grid")
    return Captioner(encoder, Bigram(chances), VOCABULARY).eval()


def uniform(length: float) -> Captioner:
    """Captions of so many tokens on average, END counted, any word being as likely as another."""
    words = VOCABULARY.tokens[len(SPECIAL) :]
    following = {"": 1 / length} | dict.fromkeys(words, (1 - 1 / length) / len(words))
    return bigram(dict.fromkeys(("", *words), following))


def measure(captioner: Captioner, p: Mapping[str, float], images: int = 50) -> list[Measured]:
    generator = torch.Generator().manual_seed(0)
    return law.measure([captioner], [make_features(images).float()], [p] * images, generator)


def padded(rows: Sequence[Sequence[int]], steps: int = 6) -> Tensor:
    return torch.tensor([[*row, *[PAD] * (steps - len(row))] for row in rows])


def every_caption(words: int, steps: int) -> Tensor:
    """All that can be said in so many tokens, and all that can be cut off there."""
    ids = range(END + 1, END + 1 + words)
    ended = [
        (*said, END) for length in range(steps) for said in itertools.product(ids, repeat=length)
    ]
    return padded([*ended, *itertools.product(ids, repeat=steps)], steps)


def alone(captioner: Captioner, features: Tensor, row: Sequence[int], owner: int) -> float:
    """The log likelihood of one caption, in the way of training."""
    captions = Captions.from_lists([row], [owner])
    outputs = captioner(features, captions)
    scores = captioner.decoder.log_probabilities(outputs)
    return scores[range(len(row)), captions.targets - END].sum().item()


@pytest.mark.parametrize("kind", DECODERS)
def test_each_caption_has_the_likelihood_that_it_has_alone(kind: type[Decoder]) -> None:
    captioner, features = make_captioner(kind), make_features()
    found = law.log_likelihoods(
        Ensemble([captioner], [features]), padded(ROWS), torch.tensor(OWNERS)
    )
    expected = [
        alone(captioner, features, row, owner) for row, owner in zip(ROWS, OWNERS, strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, abs=1e-5)  # an ensemble counts in floats


def test_an_ensemble_averages_probabilities_at_every_step() -> None:
    captioners = [make_captioner(kind) for kind in DECODERS[:2]]
    captioners[1].decoder = make_decoder(DECODERS[1], seed=1)
    features = make_features()
    expected = []
    for row, owner in zip(ROWS, OWNERS, strict=True):
        captions = Captions.from_lists([row], [owner])
        scores = [one.decoder.logits(one(features, captions))[:, END:] for one in captioners]
        mixed = (scores[0].softmax(1) + scores[1].softmax(1)) / 2
        expected.append(mixed[range(len(row)), captions.targets - END].log().sum().item())
    ensemble = Ensemble(captioners, [features, features])
    found = law.log_likelihoods(ensemble, padded(ROWS), torch.tensor(OWNERS))
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", DECODERS)
def test_the_likelihoods_of_all_that_can_be_said_sum_to_one(kind: type[Decoder]) -> None:
    tokens = every_caption(words=6, steps=3)
    assert len(tokens) == 1 + 6 + 36 + 216
    ensemble = Ensemble([make_captioner(kind)], [make_features(1)])
    found = law.log_likelihoods(ensemble, tokens, torch.zeros(len(tokens), dtype=torch.long))
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_uniform_captions_have_the_probability_worked_by_hand() -> None:
    # L = 4, two words: a word has 3/4 / 2 = 3/8, END 1/4.
    tokens = padded([[END], [4, END], [5, 4, END], [4, 5, 5]], steps=3)
    found = law.log_uniform(tokens, words=2, length=torch.tensor(4.0, dtype=torch.float64)).exp()
    assert found.tolist() == pytest.approx([1 / 4, 3 / 32, 9 / 256, 27 / 512])


def test_uniform_captions_have_probability_one_in_all() -> None:
    tokens = every_caption(words=2, steps=4)
    found = law.log_uniform(tokens, words=2, length=torch.tensor(2.5, dtype=torch.float64))
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_uniform_captions_are_as_long_on_average_as_was_asked_for() -> None:
    lengths = range(1, 301)  # what is longer has a probability of 0.8^300
    tokens = padded([[4] * (length - 1) + [END] for length in lengths], steps=300)
    one_each = law.log_uniform(tokens, words=3, length=torch.tensor(5.0, dtype=torch.float64)).exp()
    mean = sum(
        length * 3 ** (length - 1) * chance
        for length, chance in zip(lengths, one_each.tolist(), strict=True)
    )
    assert mean == pytest.approx(5, abs=1e-9)


def test_what_is_outside_the_true_law_is_one_event() -> None:
    p, log_q = (torch.tensor(pair, dtype=torch.float64) for pair in ((0.5, 0.5), (-1.0, -2.0)))
    log_p, log_q = law.with_others(p, log_q)
    assert log_p.exp().tolist() == [0.5, 0.5, 0]
    assert log_q.exp().tolist() == pytest.approx([math.exp(-1), math.exp(-2), 0.4967852756])
    nothing, _ = law.with_others(p, p.log() + 1e-12)  # rounded, the rest is less than nothing
    assert nothing.tolist() == log_p.tolist()
    assert law.with_others(p, p.log() + 1e-12)[1][-1] == -math.inf


def test_smoothing_leaves_nothing_impossible() -> None:
    p, u = torch.tensor([0.5, 0.0]), torch.tensor([0.25, 0.125])
    smoothed = law.smooth(p.double(), u.log().double(), delta=0.2).exp()
    assert smoothed.tolist() == pytest.approx([0.8 * 0.5 + 0.2 * 0.25, 0.2 * 0.125])


def test_a_standard_error_counts_what_samples_of_an_image_differ_not_what_images_do() -> None:
    # Variances within the images 2 and 0, of means over two 1 and 0, of the mean of both ¼.
    assert law.standard_error(torch.tensor([[1.0, 3.0], [10.0, 10.0]])) == pytest.approx(0.5)


def test_a_captioner_that_speaks_the_true_law_is_no_way_from_it() -> None:
    p = {"ant": 0.3, "ant bee": 0.7}
    captioner = bigram({"": {"ant": 1}, "ant": {"": 0.3, "bee": 0.7}, "bee": {"": 1}})
    found = measure(captioner, p)
    result = law.summarise(found)
    assert result.forward_kl == pytest.approx(0, abs=1e-6)
    assert result.outside == pytest.approx(0, abs=1e-6)
    assert result.jensen_shannon == pytest.approx(0, abs=1e-6)
    assert result.total_variation == pytest.approx(0, abs=1e-6)
    assert result.true_entropy == pytest.approx(-0.3 * math.log(0.3) - 0.7 * math.log(0.7))
    length = 0.3 * 2 + 0.7 * 3
    word = (1 - 1 / length) / 6
    ratios = {
        caption: math.log(chance / ((1 - DELTA) * chance + DELTA * word**words / length))
        for (caption, chance), words in zip(p.items(), (1, 2), strict=True)
    }
    for each in found:
        expected = [ratios[caption] for caption in each.samples]
        assert each.log_ratios.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_estimate_agrees_with_the_sum_over_all_captions() -> None:
    p = {"ant": 0.5, "ant bee": 0.5}
    beginning, ending = {"ant": 0.8, "cat": 0.2}, {"": 1.0}
    after_ant = {"": 0.25, "bee": 0.75}
    captioner = bigram({"": beginning, "ant": after_ant, "bee": ending, "cat": ending})
    q = {"ant": 0.2, "ant bee": 0.6, "cat": 0.2}
    word = (1 - 1 / 2.5) / 6
    u = {caption: word ** len(caption.split()) / 2.5 for caption in q}
    exact = sum(
        chance * math.log(chance / ((1 - DELTA) * p.get(caption, 0) + DELTA * u[caption]))
        for caption, chance in q.items()
    )
    result = law.summarise(measure(captioner, p, images=200))
    assert result.reverse_kl == pytest.approx(exact, abs=4 * result.reverse_kl_error)
    assert 0 < result.reverse_kl_error < 0.1 * exact
    assert result.outside == pytest.approx(0.2, abs=1e-6)
    forward = 0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.6)
    assert result.forward_kl == pytest.approx(forward, abs=1e-6)
    assert result.forward_kl_per_word == pytest.approx(forward / 2.5, abs=1e-6)
    laws = [(p.get(caption, 0), chance) for caption, chance in q.items()]
    shannon = sum(
        chance / 2 * math.log(2 * chance / (a + b)) for a, b in laws for chance in (a, b) if chance
    )
    assert result.jensen_shannon == pytest.approx(shannon, abs=1e-6)
    entropy = -sum(chance * math.log(chance) for chance in q.values())
    assert result.entropy == pytest.approx(entropy, abs=0.04)  # 4,000 samples
    assert result.total_variation == pytest.approx((0.3 + 0.1 + 0.2) / 2, abs=1e-6)
    for prior in PRIORS:
        mixed = [(a, chance, prior * a + (1 - prior) * chance) for a, chance in laws]
        whole = sum(
            prior * (a * math.log(a / m) if a else 0) + (1 - prior) * chance * math.log(chance / m)
            for a, chance, m in mixed
        )
        found = result.js_by_prior[f"{prior:g}"]
        assert found == pytest.approx(whole / (prior * (1 - prior)), abs=1e-6)
    assert result.js_by_prior["0.01"] == pytest.approx(forward, rel=0.05)  # its limit as π → 0


def test_laws_that_share_no_caption_are_as_far_apart_as_laws_can_be() -> None:
    captioner = bigram({"": {"ant": 1}, "ant": {"": 1}})
    result = law.summarise(measure(captioner, {"bee": 1.0}, images=1))
    assert result.jensen_shannon == pytest.approx(math.log(2))
    # JS_π of such laws is the entropy of the coin that chooses between them.
    coin = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert result.js_by_prior["0.9"] == pytest.approx(coin / 0.09)
    assert result.total_variation == pytest.approx(1)


def test_a_uniform_captioner_is_found_to_be_so_and_what_is_cut_off_counts() -> None:
    p = {" ".join(["ant"] * 20): 1.0}  # with END, as long as captions may be
    found = measure(uniform(length=21), p, images=20)
    lengths = [len(caption.split()) for each in found for caption in each.samples]
    assert max(lengths) == Sampling().steps  # (20/21)^21, a third, are cut off
    for each in found:
        assert each.log_ratios.tolist() == pytest.approx([-math.log(DELTA)] * 20, abs=1e-5)


def test_a_caption_cut_off_is_none_of_those_that_p_says() -> None:
    p = {" ".join(["ant"] * 20): 1.0}
    found = measure(bigram({"": {"ant": 1}, "ant": {"ant": 1}}), p, images=1)
    tail = 21 * math.log((1 - 1 / 21) / 6)
    assert found[0].log_ratios.tolist() == pytest.approx([-math.log(DELTA) - tail] * 20)
    assert found[0].outside == 1


def test_averages_are_over_images_and_words() -> None:
    numbers = [
        (0.5, 4, 0.25, 0.1, 0.2, 8, 7, [0, 1, 2, 3, 4], [1.0, 3.0]),
        (1.5, 6, 0.75, 0.3, 0.6, 9, 7, [2, 3, 4, 5, 6], [0.0, 0.0]),
    ]
    measured = [
        Measured(*(torch.tensor(value, dtype=torch.float64) for value in image), ["", ""])
        for image in numbers
    ]
    # Variances 2 and 0: the root of their mean over four samples is a half.
    by_prior = {"0.01": 1.0, "0.1": 2.0, "0.5": 3.0, "0.9": 4.0, "0.99": 5.0}
    *averages, found = law.summarise(measured)
    assert averages == pytest.approx([1.0, 0.2, 1.0, 0.5, 0.5, 0.2, 0.4, 8.5, 7])
    assert found == pytest.approx(by_prior)
