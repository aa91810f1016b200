"""Greedy and sampling: against exact probabilities, and at their limits."""

import math

import pytest
import torch

from captioning.batch import Captions
from captioning.decoder import Decoder
from captioning.search import Greedy, Sampling
from captioning.search.sampling import draw, likeliest
from captioning.text import END, PAD
from tests.search.references import (
    DECODERS,
    all_captions,
    assert_same,
    count_rows,
    following,
    make_captioner,
    make_features,
    run,
    spoken,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)


@each_decoder
def test_greedy_says_the_likeliest_token_at_every_step(kind: type[Decoder]) -> None:
    captioner, features = make_captioner(kind), make_features()
    found = run(Greedy(6), captioner, features)
    for image in range(3):
        said: tuple[int, ...] = ()
        while len(said) < 6 and END not in said:
            every = following(captioner, features[image], said)
            said = (*said, max(range(END, len(every)), key=every.__getitem__))
        assert spoken(found.tokens[image, 0]) == said


def test_sampling_hardly_above_temperature_zero_is_greedy() -> None:
    captioner, features = make_captioner(), make_features(8)
    found = run(Sampling(temperature=1e-5, steps=6), captioner, features)
    assert_same(found, run(Greedy(6), captioner, features))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_come_as_often_as_their_probability_says(temperature: float) -> None:
    captioner, features = make_captioner(words="a b"), make_features(2)
    draws = 20_000
    found = run(Sampling(draws, temperature, steps=3), captioner, features)
    for image in range(2):
        counts = dict.fromkeys(all_captions(captioner, features[image], 3), 0)
        for tokens in found.tokens[image]:
            counts[spoken(tokens)] += 1
        for said, count in counts.items():
            probability = math.prod(
                share_of(following(captioner, features[image], said[:t]), said[t], temperature)
                for t in range(len(said))
            )
            deviation = math.sqrt(draws * probability * (1 - probability))
            assert abs(count - draws * probability) < 4.5 * deviation + 1


def share_of(every: list[float], token: int, temperature: float) -> float:
    """The chance of a token among those that may be said."""
    weights = [math.exp(every[other] / temperature) for other in range(END, len(every))]
    return weights[token - END] / sum(weights)


def test_a_draw_follows_the_probabilities_and_never_takes_the_impossible() -> None:
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    logits = probabilities.log().expand(10_000, 6)
    counts = draw(logits, torch.Generator().manual_seed(0)).bincount(minlength=6)
    assert counts[probabilities == 0].tolist() == [0, 0, 0]
    torch.testing.assert_close(counts / 10_000, probabilities, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("top_k", "top_p", "support"),
    [
        (None, None, [2, 0, 3, 1]),
        (2, None, [2, 0]),
        (9, None, [2, 0, 3, 1]),
        (None, 0.79, [2, 0]),
        (None, 0.81, [2, 0, 3]),
        (None, 0.01, [2]),
        (None, 1.0, [2, 0, 3, 1]),
        # Among the three largest, .5 is .526 and .3 is .316 of the probability.
        (3, 0.83, [2, 0]),
        (3, 0.85, [2, 0, 3]),
        (1, 0.5, [2]),
    ],
)
def test_top_k_and_top_p_keep_the_likeliest(
    top_k: int | None, top_p: float | None, support: list[int]
) -> None:
    logits = torch.tensor([[0.3, 0.05, 0.5, 0.15]]).log()
    values, places = likeliest(logits, top_k, top_p)
    assert places[values.isfinite()].tolist() == support
    torch.testing.assert_close(values[values.isfinite()], logits[0, support])


def test_sampling_draws_all_of_the_top_k_and_nothing_else() -> None:
    captioner, features = make_captioner(), make_features(1)
    found = run(Sampling(2_000, temperature=5.0, top_k=2, steps=1), captioner, features)
    every = torch.tensor(following(captioner, features[0], ())[END:])
    assert set(found.tokens.flatten().tolist()) == set((every.topk(2).indices + END).tolist())


def test_the_same_seed_draws_the_same_captions_and_another_seed_others() -> None:
    captioner, features = make_captioner(), make_features()
    search = Sampling(samples=20, steps=6)
    first = run(search, captioner, features, seed=1)
    assert_same(first, run(search, captioner, features, seed=1))
    assert first.tokens.tolist() != run(search, captioner, features, seed=2).tokens.tolist()


def test_samples_become_captions_of_their_images() -> None:
    captioner, features = make_captioner(), make_features()
    found = run(Sampling(samples=4, steps=6), captioner, features)
    image_index = torch.arange(3).repeat_interleave(4)
    captions = Captions.from_generated(found.tokens.flatten(0, 1), image_index)
    expected = {(image, spoken(tokens)) for image in range(3) for tokens in found.tokens[image]}
    rows = zip(captions.image_index.tolist(), captions.tokens, strict=True)
    assert {(image, spoken(tokens)) for image, tokens in rows} == expected


def test_captions_that_have_ended_cost_nothing_more() -> None:
    captioner = make_captioner()
    rows = count_rows(captioner)
    found = run(Greedy(6), captioner, make_features(8))
    lengths = (found.tokens != PAD).sum(2).flatten().tolist()
    assert len(set(lengths)) > 2
    assert sum(rows) == sum(lengths)
