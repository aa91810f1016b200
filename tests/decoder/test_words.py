"""Decoders at their two ends: words fed as ids or as mixtures, and the law of the next word."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from captioning.decoder import Decoder, ShowAndTell, State
from captioning.text import BEGIN, END
from tests.support.builders import (
    DECODERS,
    VOCABULARY,
    check_gradient,
    make_decoder,
    make_features,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """All is computed in doubles: what differs by more than rounding differs."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def one_hot(words: Tensor) -> Tensor:
    return functional.one_hot(words, len(VOCABULARY)).double()


def begun(decoder: Decoder) -> State:
    """The state of three captions after BEGIN."""
    state = decoder.begin(make_features(), torch.tensor([2, 0, 1]))
    return decoder.step(torch.tensor([BEGIN] * 3), state)[1]


@each_decoder
def test_a_mixture_of_one_word_is_fed_as_that_word(kind: type[Decoder]) -> None:
    decoder, words = make_decoder(kind).eval(), torch.tensor([4, 9, END])
    expected, expected_state = decoder.step(words, begun(decoder))
    outputs, state = decoder.step(one_hot(words), begun(decoder))
    assert_close(outputs, expected)
    assert_close(state.recurrent[0], expected_state.recurrent[0])
    assert_close(state.recurrent[1], expected_state.recurrent[1])


@each_decoder
def test_unrolling_may_feed_mixtures(kind: type[Decoder]) -> None:
    decoder, features = make_decoder(kind).eval(), make_features()
    words = torch.tensor([[4, 5, 6], [7, 8, 9]])

    def unroll(fed: Tensor) -> Tensor:
        state = decoder.begin(features, torch.tensor([2, 0]))
        return decoder.unroll(state, [2, 2, 2, 1], lambda t, outputs: fed[: len(outputs), t - 1])

    assert_close(unroll(one_hot(words)), unroll(words))


@each_decoder
def test_a_mixture_is_embedded_between_its_words(kind: type[Decoder]) -> None:
    decoder = make_decoder(kind).eval()
    mixture = 0.25 * one_hot(torch.tensor([4])) + 0.75 * one_hot(torch.tensor([7]))
    weight = decoder.embedding.weight
    assert_close(decoder.embed(mixture), (0.25 * weight[4] + 0.75 * weight[7])[None])
    assert_close(decoder.embed(torch.tensor([4, 7])), weight[[4, 7]])


@each_decoder
def test_words_and_mixtures_are_dropped_alike_in_training_only(kind: type[Decoder]) -> None:
    decoder = make_decoder(kind, dropout=0.5)
    words = torch.full((4000,), 5)
    for fed in (words, one_hot(words)):
        torch.manual_seed(0)
        embedded = decoder.train().embed(fed)
        dropped = embedded == 0
        assert dropped.double().mean().item() == pytest.approx(0.5, abs=0.015)  # 20,000 numbers
        assert_close(embedded[~dropped], 2 * decoder.eval().embed(fed)[~dropped])


@each_decoder
def test_a_gradient_flows_through_a_step_to_the_mixture_fed(kind: type[Decoder]) -> None:
    decoder = make_decoder(kind).eval()
    mixtures = torch.rand(3, len(VOCABULARY), dtype=torch.float64).requires_grad_()

    def value() -> Tensor:
        outputs, state = decoder.step(mixtures, begun(decoder))
        return outputs.square().sum() + state.recurrent[1].square().sum()

    check_gradient(value, [mixtures])


@each_decoder
def test_what_is_said_next_is_end_or_a_word_with_probabilities_that_sum_to_one(
    kind: type[Decoder],
) -> None:
    decoder = make_decoder(kind)
    outputs = torch.randn(2, 3, 5, dtype=torch.float64)
    log_probabilities = decoder.log_probabilities(outputs)
    assert log_probabilities.shape == (2, 3, len(VOCABULARY) - END)
    assert_close(log_probabilities.exp().sum(2), torch.ones(2, 3, dtype=torch.float64))
    assert_close(log_probabilities[1], decoder.log_probabilities(outputs[1]))
    # Among themselves they are as likely as among all tokens.
    every = decoder.logits(outputs).softmax(2)[..., END:]
    assert_close(log_probabilities.exp(), every / every.sum(2, keepdim=True))


def test_the_law_of_the_next_word_worked_by_hand() -> None:
    decoder = ShowAndTell(vocabulary_size=7, feature_size=1, hidden_size=1, embedding_size=1)
    with torch.no_grad():
        decoder.output.weight[:, 0] = torch.tensor([9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 4.0]).log()
        decoder.output.bias.zero_()
    law = decoder.log_probabilities(torch.tensor([[1.0], [-1.0], [0.0]])).exp()
    forward, backward = [0.1, 0.2, 0.3, 0.4], [0.48, 0.24, 0.16, 0.12]  # 1/k over 25/12
    torch.testing.assert_close(law, torch.tensor([forward, backward, [0.25] * 4]))


@each_decoder
def test_what_is_impossible_stays_so_and_leaves_the_gradient_finite(kind: type[Decoder]) -> None:
    decoder = make_decoder(kind)
    with torch.no_grad():
        decoder.output.bias[END] = -math.inf
    outputs = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    log_probabilities = decoder.log_probabilities(outputs)
    assert log_probabilities[:, 0].isneginf().all()
    assert_close(log_probabilities.exp().sum(1), torch.ones(3, dtype=torch.float64))
    log_probabilities[:, 1].sum().backward()
    assert torch.isfinite(outputs.grad).all()
    assert outputs.grad.abs().max() > 0
