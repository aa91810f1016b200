"""Decoders: fused, step by step and by the book they say the same, and padding changes nothing."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captioning.decoder import Decoder, Lrcn, ShowAndTell, ShowAttendTell, State
from captioning.decoder.base import linear_cross_entropy
from captioning.errors import InputError
from captioning.text import BEGIN
from tests.support.builders import (
    DECODERS,
    OWNERS,
    ROWS,
    VOCABULARY,
    check_gradient,
    make_captions,
    make_decoder,
    make_features,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """All is computed in doubles: what differs by more than rounding differs."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def one_by_one(decoder: Decoder, features: Tensor, rows: list[list[int]]) -> list[Tensor]:
    """The outputs of each row, alone with its one image, by `step` only."""
    outputs = []
    for row, image in zip(rows, features, strict=True):
        state = decoder.begin(image[None], torch.tensor([0]))
        own = []
        for token in [BEGIN, *row[:-1]]:
            output, state = decoder.step(torch.tensor([token]), state)
            own.append(output[0])
        outputs.append(torch.stack(own))
    return outputs


@each_decoder
def test_a_whole_batch_gives_what_each_caption_gives_alone_step_by_step(
    kind: type[Decoder],
) -> None:
    decoder, features, captions = make_decoder(kind).eval(), make_features(), make_captions()
    alone = one_by_one(decoder, features[OWNERS], ROWS)
    alone.sort(key=len, reverse=True)
    together = decoder(features, captions.inputs, captions)
    padded = nn.utils.rnn.pad_sequence(alone, batch_first=True)
    for d in range(decoder.output.in_features):
        assert_close(captions.unpack(together[:, d]), padded[..., d])


@each_decoder
def test_unrolling_fed_with_the_truth_equals_forward(kind: type[Decoder]) -> None:
    decoder, features, captions = make_decoder(kind).eval(), make_features(), make_captions()
    fed: list[int] = []

    def feed(t: int, outputs: Tensor) -> Tensor:
        fed.append(t)
        return captions.inputs[: len(outputs), t]

    state = decoder.begin(features, captions.image_index)
    unrolled = decoder.unroll(state, captions.active, feed)
    assert_close(unrolled, decoder(features, captions.inputs, captions))
    assert fed == [1, 2, 3, 4]


@each_decoder
def test_a_feed_is_given_the_outputs_from_which_to_choose(kind: type[Decoder]) -> None:
    decoder, features = make_decoder(kind).eval(), make_features(2)
    given: list[Tensor] = []

    def greedy(t: int, outputs: Tensor) -> Tensor:
        given.append(outputs)
        return decoder.logits(outputs).argmax(1)

    state = decoder.begin(features, torch.tensor([1, 0]))
    outputs = decoder.unroll(state, [2, 2, 1], greedy)
    assert_close(torch.cat(given), torch.cat([outputs[:2], outputs[2:3]]))
    words = decoder.logits(outputs).argmax(1).tolist()
    (alone, _) = one_by_one(decoder, features[[1, 0]], [[words[0], words[2], 0], [words[1], 0]])
    assert_close(outputs[[0, 2, 4]], alone)


@each_decoder
def test_columns_of_padding_change_nothing(kind: type[Decoder]) -> None:
    decoder, features = make_decoder(kind).eval(), make_features()
    tight, wide = make_captions(), make_captions(columns=2)
    expected = decoder(features, tight.inputs, tight)
    assert_close(decoder(features, wide.inputs, wide), expected)
    noise = torch.where(wide.mask.t(), wide.inputs, 7)
    assert_close(decoder(features, noise, wide), expected)


@each_decoder
def test_the_inputs_matter_up_to_the_last_real_one(kind: type[Decoder]) -> None:
    decoder, features, captions = make_decoder(kind).eval(), make_features(), make_captions()
    expected = decoder(features, captions.inputs, captions)
    for t in range(1, captions.tokens.shape[1]):
        inputs = captions.inputs
        inputs[0, t] = 9
        changed = (decoder(features, inputs, captions) != expected).any(1)
        first = captions.unpack(changed)[0].tolist()
        assert first == [False] * t + [True] * (5 - t)
        assert not captions.unpack(changed)[1:].any()


@each_decoder
def test_the_image_index_chooses_the_image(kind: type[Decoder]) -> None:
    decoder, features = make_decoder(kind).eval(), make_features()
    rows = [[4, 5, 6]] * 4
    captions = make_captions(rows, [2, 0, 2, 1])
    outputs = decoder(features, captions.inputs, captions)
    copies = make_captions(rows, [0, 1, 2, 3])
    assert_close(decoder(features[[2, 0, 2, 1]], copies.inputs, copies), outputs)
    first = outputs[:4]
    assert_close(first[0], first[2])
    assert (first[0] - first[1]).abs().max() > 1e-3
    assert (first[1] - first[3]).abs().max() > 1e-3


def fused_show_and_tell(decoder: Decoder, image: Tensor, words: Tensor) -> Tensor:
    """The image goes before BEGIN; its own output is left out."""
    seen = decoder.get_submodule("image")(image.mean(0))
    return decoder.get_submodule("lstm")(torch.cat([seen[None], words]))[0][1:]


def fused_lrcn(decoder: Decoder, image: Tensor, words: Tensor) -> Tensor:
    """The image stands beside every word."""
    seen = decoder.get_submodule("image")(image.mean(0)).expand(len(words), -1)
    return decoder.get_submodule("lstm")(torch.cat([words, seen], dim=1))[0]


@pytest.mark.parametrize(
    ("kind", "reference"), [(ShowAndTell, fused_show_and_tell), (Lrcn, fused_lrcn)]
)
def test_an_lstm_sees_the_image_where_its_paper_says(
    kind: type[Decoder], reference: Callable[[Decoder, Tensor, Tensor], Tensor]
) -> None:
    decoder, features = make_decoder(kind).eval(), make_features()
    captions = make_captions([[4, 5, 6, 7]], [1])
    words = decoder.embedding(captions.inputs[0])
    expected = reference(decoder, features[1], words)
    assert_close(decoder(features, captions.inputs, captions), expected)


@each_decoder
def test_dropout_acts_in_training_only(kind: type[Decoder]) -> None:
    decoder, features, captions = make_decoder(kind, dropout=0.5), make_features(), make_captions()
    torch.manual_seed(0)
    for forward in (kind.forward, Decoder.forward):
        one, other = (forward(decoder.train(), features, captions.inputs, captions) for _ in "12")
        assert not torch.equal(one, other)
        assert 0.27 < (one == 0).double().mean() < 0.73  # 75 numbers: four standard deviations
        one, other = (forward(decoder.eval(), features, captions.inputs, captions) for _ in "12")
        assert torch.equal(one, other)


@each_decoder
def test_the_gradient_of_forward_is_that_of_unrolling(kind: type[Decoder]) -> None:
    decoder, features, captions = make_decoder(kind), make_features(), make_captions()
    parameters = dict(decoder.named_parameters())
    fused = decoder(features, captions.inputs, captions)
    stepped = Decoder.forward(decoder, features, captions.inputs, captions)
    for outputs in (fused, stepped):
        loss = decoder.cross_entropy(outputs, captions.targets)
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        assert all(gradient.abs().max() > 0 for gradient in gradients)
        if outputs is fused:
            expected = gradients
    for one, other in zip(gradients, expected, strict=True):
        assert_close(one, other)


@each_decoder
def test_tied_embeddings_are_one_tensor(kind: type[Decoder]) -> None:
    decoder = make_decoder(kind, tied=True)
    assert decoder.output.weight is decoder.embedding.weight
    loose = make_decoder(kind)
    assert loose.output.weight is not loose.embedding.weight
    assert len(list(decoder.parameters())) == len(list(loose.parameters())) - 1


@pytest.mark.parametrize("kind", [ShowAndTell, Lrcn])
def test_tied_embeddings_of_another_width_than_the_output_are_refused(kind: type[Decoder]) -> None:
    with pytest.raises(InputError, match=r"as wide as .* got 6 and 5: make them equal"):
        kind(vocabulary_size=10, feature_size=4, hidden_size=5, embedding_size=6, tied=True)


@each_decoder
def test_a_decoder_remembers_its_arguments_and_their_defaults(kind: type[Decoder]) -> None:
    settings = kind(vocabulary_size=10, feature_size=4, embedding_size=8).settings
    expected = {
        "vocabulary_size": 10,
        "feature_size": 4,
        "hidden_size": 512,
        "embedding_size": 8,
        "dropout": 0.5,
        "tied": False,
    }
    assert settings == expected | ({"attention_size": 512} if kind is ShowAttendTell else {})


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@each_decoder
def test_cross_entropy_is_that_of_the_logits(kind: type[Decoder], label_smoothing: float) -> None:
    decoder, captions = make_decoder(kind), make_captions()
    outputs = torch.randn(len(captions.targets), 5, dtype=torch.float64, requires_grad=True)
    wanted = [outputs, decoder.output.weight, decoder.output.bias]
    ours = decoder.cross_entropy(outputs, captions.targets, label_smoothing)
    reference = functional.cross_entropy(
        decoder.logits(outputs), captions.targets, label_smoothing=label_smoothing
    )
    assert ours.item() == pytest.approx(reference.item(), rel=1e-12)
    for one, other in zip(
        torch.autograd.grad(ours, wanted), torch.autograd.grad(reference, wanted), strict=True
    ):
        assert_close(one, other)


def test_cross_entropy_worked_by_hand() -> None:
    outputs = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    weight = torch.tensor([[0.0], [1.0]], dtype=torch.float64).log1p()  # 0 and ln 2
    bias = torch.tensor([0.0, 3.0], dtype=torch.float64).log1p()  # 0 and ln 4
    # Odds are 1 to 8 in the first row, 1 to 16 in the second.
    loss = linear_cross_entropy(outputs, weight, bias, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx((math.log(9 / 8) + math.log(17)) / 2)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_the_gradient_of_cross_entropy_agrees_with_finite_differences(
    label_smoothing: float,
) -> None:
    torch.manual_seed(0)
    inputs = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((6, 3), (5, 3), (5,))
    ]
    targets = torch.tensor([0, 1, 2, 3, 4, 4])

    check_gradient(lambda: linear_cross_entropy(*inputs, targets, label_smoothing), inputs)


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0, 1.5, float("nan")])
def test_label_smoothing_that_is_no_share_is_refused(label_smoothing: float) -> None:
    decoder, captions = make_decoder(ShowAndTell), make_captions()
    outputs = torch.zeros(len(captions.targets), 5, dtype=torch.float64)
    with pytest.raises(InputError, match=rf"label_smoothing .* got {label_smoothing}"):
        decoder.cross_entropy(outputs, captions.targets, label_smoothing)


@each_decoder
def test_logits_keep_leading_axes(kind: type[Decoder]) -> None:
    decoder = make_decoder(kind)
    outputs = torch.randn(2, 3, 5, dtype=torch.float64)
    logits = decoder.logits(outputs)
    assert logits.shape == (2, 3, len(VOCABULARY))
    assert_close(logits[1], decoder.logits(outputs[1]))


def test_states_are_cut_chosen_and_reordered() -> None:
    hidden = torch.arange(8.0).view(4, 2)
    state = State((hidden, -hidden), (10 * hidden, 100 * hidden[:, :1]))
    first, rows = state.first(2), torch.tensor([3, 0, 3])
    assert [part.tolist() for part in first.recurrent] == [[[0, 1], [2, 3]], [[0, -1], [-2, -3]]]
    assert [part.tolist() for part in first.memory] == [[[0, 10], [20, 30]], [[0], [200]]]
    chosen = state.select(rows)
    assert chosen.recurrent[0].tolist() == [[6, 7], [0, 1], [6, 7]]
    assert torch.equal(chosen.recurrent[1], -chosen.recurrent[0])
    assert torch.equal(chosen.memory[0], 10 * chosen.recurrent[0])
    assert chosen.memory[1].tolist() == [[600], [0], [600]]
    moved = state.reorder(rows)
    assert all(map(torch.equal, moved.recurrent, chosen.recurrent))
    assert moved.memory is state.memory


@each_decoder
def test_stepping_on_from_chosen_rows_continues_those_captions(kind: type[Decoder]) -> None:
    decoder, features = make_decoder(kind).eval(), make_features()
    _, state = decoder.step(
        torch.tensor([BEGIN] * 3), decoder.begin(features, torch.tensor([0, 1, 2]))
    )
    outputs, after = decoder.step(torch.tensor([4, 5, 6]), state)
    rows = torch.tensor([2, 2, 0])
    chosen, chosen_after = decoder.step(torch.tensor([6, 6, 4]), state.select(rows))
    assert_close(chosen, outputs[rows])
    for found, expected in zip(chosen_after.recurrent, after.recurrent, strict=True):
        assert_close(found, expected[rows])
