"""Beam search: against enumeration, against plain Python, and at its limits."""

import math

import pytest
import torch

from captioning.decoder import Decoder
from captioning.search import Beam, Greedy
from captioning.search.beam import Beams, length_penalty, settled, without_repeated_trigrams
from captioning.text import END, PAD
from tests.search.references import (
    DECODERS,
    all_captions,
    assert_same,
    make_captioner,
    make_features,
    penalised,
    plain_beam,
    run,
    spoken,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)


@each_decoder
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_wider_than_all_prefixes_ranks_every_caption_there_is(
    kind: type[Decoder], alpha: float
) -> None:
    captioner, features = make_captioner(kind, words="a b"), make_features()
    found = run(Beam(27, alpha, keep=15, steps=3), captioner, features)
    for image in range(3):
        every = all_captions(captioner, features[image], 3)
        ranked = sorted(
            every.items(), key=lambda beam: (END not in beam[0], -penalised(*beam, alpha))
        )
        assert len(ranked) == 15  # 7 finished, 8 cut off
        assert [spoken(tokens) for tokens in found.tokens[image]] == [said for said, _ in ranked]
        torch.testing.assert_close(
            found.log_probabilities[image], torch.tensor([total for _, total in ranked])
        )
        torch.testing.assert_close(
            found.scores[image], torch.tensor([penalised(*beam, alpha) for beam in ranked])
        )
        assert found.finished[image].tolist() == [True] * 7 + [False] * 8


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "search",
    [
        Beam(3, steps=7),
        Beam(4, keep=3, steps=7),
        Beam(3, length_penalty=2.0, keep=2, steps=7),
        Beam(3, block_trigrams=True, steps=9),
    ],
)
def test_a_beam_that_stops_early_finds_what_plain_python_finds_by_going_on(
    search: Beam, seed: int
) -> None:
    captioner = make_captioner(seed=seed, words="a b", end_bias=-2.0)
    features = make_features(seed=seed)
    found = run(search, captioner, features)
    for image in range(3):
        expected = plain_beam(captioner, features[image], search)
        assert [spoken(tokens) for tokens in found.tokens[image]] == [said for said, _ in expected]


@each_decoder
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_one_is_greedy(kind: type[Decoder], seed: int) -> None:
    captioner, features = make_captioner(kind, seed=seed), make_features(8, seed)
    greedy = run(Greedy(6), captioner, features)
    assert_same(run(Beam(1, steps=6), captioner, features), greedy)
    penalised_beam = run(Beam(1, length_penalty=2.0, steps=6), captioner, features)
    assert penalised_beam.tokens.tolist() == greedy.tokens.tolist()


def test_an_image_is_settled_when_no_running_caption_can_overtake_by_the_last_step() -> None:
    # Penalties at alpha 1: of lengths 1 and 2, 1 and 7/6; of the longest, 7 tokens, 2.
    ended, running = [END, *[PAD] * 6], [4, 4, *[PAD] * 5]
    for rows, log_probabilities, keep, alpha, expected in (
        ([running, ended, ended], [-1.9, -2.0, -2.1], 1, 0.0, False),
        ([ended, running, ended], [-2.0, -2.1, -2.2], 1, 0.0, True),
        ([ended, running, ended], [-2.0, -2.1, -2.2], 2, 0.0, False),
        ([ended, ended, running], [-2.0, -2.1, -2.2], 2, 0.0, True),
        ([ended, ended, running], [-2.0, -2.1, -2.2], 3, 0.0, False),
        ([ended, ended, ended], [-2.0, -2.1, -2.2], 3, 0.0, True),
        ([running, running, running], [-2.0, -2.1, -2.2], 1, 0.0, False),
        ([ended, running, running], [-2.0, -3.9, -5.0], 1, 1.0, False),
        ([ended, running, running], [-2.0, -4.1, -5.0], 1, 1.0, True),
        ([ended, running, running], [-2.0, -math.inf, -math.inf], 2, 0.0, True),
    ):
        beams = Beams(torch.tensor([rows]), torch.tensor([log_probabilities]))
        assert settled(beams, keep, alpha).tolist() == [expected]


def test_a_finished_caption_comes_before_a_likelier_one_that_was_cut_off() -> None:
    captioner, features = make_captioner(words="a b", end_bias=-12.0), make_features()
    found = run(Beam(27, keep=27, steps=3), captioner, features)
    for finished, log_probabilities in zip(found.finished, found.log_probabilities, strict=True):
        count = int(finished.sum())
        assert finished.tolist() == [True] * count + [False] * (27 - count)
        assert log_probabilities[count] > log_probabilities[0]


def test_a_beam_wider_than_the_vocabulary_pads_where_there_are_no_more_captions() -> None:
    captioner, features = make_captioner(words="a"), make_features()
    found = run(Beam(50, keep=50, steps=2), captioner, features)
    expected = {(END,), (END + 1, END), (END + 1, END + 1)}
    for image in range(3):
        assert {spoken(tokens) for tokens in found.tokens[image, :3]} == expected
        assert found.finished[image, :3].tolist() == [True, True, False]
    assert (found.tokens[:, 3:] == PAD).all()
    assert (found.scores[:, 3:] == -math.inf).all()
    assert not found.finished[:, 3:].any()


def test_trigram_blocking_lets_no_three_tokens_come_twice() -> None:
    captioner, features = make_captioner(words="a b", end_bias=-8.0), make_features(6)
    free = run(Beam(3, keep=3, steps=10), captioner, features)
    blocked = run(Beam(3, keep=3, block_trigrams=True, steps=10), captioner, features)
    assert any(repeats(spoken(tokens)) for tokens in free.tokens.flatten(0, 1))
    assert not any(repeats(spoken(tokens)) for tokens in blocked.tokens.flatten(0, 1))


def repeats(said: tuple[int, ...]) -> bool:
    trigrams = list(zip(said, said[1:], said[2:], strict=False))
    return len(set(trigrams)) < len(trigrams)


def test_blocked_tokens_are_those_that_would_complete_a_trigram_again() -> None:
    scores = torch.zeros(4, 6)  # of END and the tokens 4 to 8
    said = torch.tensor(
        [[4, 5, 6, 4, 5], [4, 4, 4, 4, 4], [4, 5, 6, 7, 8], [4, END, PAD, PAD, PAD]]
    )
    blocked = without_repeated_trigrams(scores, said).isinf()
    assert blocked.nonzero().tolist() == [[0, 6 - END], [1, 4 - END]]
    assert not scores.isinf().any()
    for few in range(3):
        assert not without_repeated_trigrams(scores, said[:, :few]).isinf().any()


def test_the_length_penalty_is_that_of_wu_et_al() -> None:
    assert length_penalty(torch.tensor([1, 7, 19]), 0.5).tolist() == pytest.approx(
        [1.0, math.sqrt(2), 2.0]
    )
    assert length_penalty(torch.tensor([1, 7, 19]), 0.0).tolist() == [1.0, 1.0, 1.0]


def test_a_length_penalty_makes_captions_longer() -> None:
    captioner, features = make_captioner(), make_features(20)
    short, long = (
        (run(Beam(5, alpha, steps=8), captioner, features).tokens != PAD).sum()
        for alpha in (0.0, 3.0)
    )
    assert long > short
