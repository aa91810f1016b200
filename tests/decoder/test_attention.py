"""Attention by the book: a softmax over regions, and the output that the paper writes down."""

import torch
from torch import Tensor

from captioning.decoder import ShowAttendTell
from captioning.decoder.attention import weighted_sum
from tests.support.builders import make_captions, make_decoder, make_features


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """All is computed in doubles: what differs by more than rounding differs."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def test_attention_is_that_of_its_paper() -> None:
    decoder, features = make_decoder(ShowAttendTell).eval(), make_features()
    captions = make_captions([[4, 5, 6, 7]], [1])
    part = decoder.get_submodule
    annotations = part("value")(features[1]).relu()
    hidden, cell = part("first_state")(annotations.mean(0)).tanh().chunk(2)
    expected = []
    for token in captions.inputs[0]:
        scores = [
            part("energy")(torch.tanh(part("key")(one) + part("query")(hidden)))
            for one in annotations
        ]
        weights = torch.cat(scores).softmax(0)
        context = sum(weight * one for weight, one in zip(weights, annotations, strict=True))
        context = torch.sigmoid(part("gate")(hidden)) * context
        word = decoder.embedding(token)
        hidden, cell = part("lstm")(torch.cat([word, context]), (hidden, cell))
        summed = word + part("from_hidden")(hidden) + part("from_context")(context)
        expected.append(summed.tanh())
    assert_close(decoder(features, captions.inputs, captions), torch.stack(expected))


def test_attention_weights_sum_to_one_and_move_with_the_state() -> None:
    decoder = make_decoder(ShowAttendTell)
    assert isinstance(decoder, ShowAttendTell)
    state = decoder.begin(make_features(), torch.tensor([0, 1, 2, 1]))
    weights = decoder.attend(state)
    assert weights.shape == (4, 4)
    assert weights.min() > 0
    assert_close(weights.sum(1), torch.ones(4, dtype=torch.float64))
    _, later = decoder.step(torch.tensor([4, 4, 4, 5]), state)
    assert_close(weights[1], weights[3])
    assert (decoder.attend(later)[1] - decoder.attend(later)[3]).abs().max() > 1e-6


def test_a_weighted_sum_worked_by_hand() -> None:
    weights = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    values = torch.tensor([[[4.0, 0.0], [0.0, 8.0]], [[1.0, 2.0], [3.0, 4.0]]])
    assert weighted_sum(weights, values).tolist() == [[1.0, 6.0], [1.0, 2.0]]


def test_tied_attention_needs_no_state_as_wide_as_its_embedding() -> None:
    decoder = ShowAttendTell(10, 4, hidden_size=5, embedding_size=6, attention_size=3, tied=True)
    assert decoder.output.weight is decoder.embedding.weight
