"""Teacher forcing: the average of -log Q over the true words, and nothing else."""

import math

import pytest
import torch
from torch import Tensor

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.decoder import Decoder, Lrcn, ShowAndTell
from captioning.errors import InputError
from captioning.objectives.base import Loss
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Progress
from captioning.text import BEGIN
from tests.support.builders import (
    DECODERS,
    OWNERS,
    ROWS,
    check_gradient,
    make_batch,
    make_captioner,
    make_captions,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)


def loss_of(captioner: Captioner, batch: Batch, label_smoothing: float = 0.0) -> Loss:
    objective = TeacherForcing(label_smoothing)
    loss: Loss = objective(captioner, batch, turn="captioner", progress=Progress(0, 0.0))
    return loss


def word_by_word(captioner: Captioner, batch: Batch) -> list[Tensor]:
    """The log probabilities of all tokens wherever a word of ROWS is due."""
    features, decoder = captioner.encode(batch), captioner.decoder
    found = []
    for row, owner in zip(ROWS, OWNERS, strict=True):
        state = decoder.begin(features[owner : owner + 1], torch.tensor([0]))
        for fed in [BEGIN, *row[:-1]]:
            output, state = decoder.step(torch.tensor([fed]), state)
            found.append(decoder.logits(output)[0].log_softmax(0))
    return found


def test_a_loss_worked_by_hand() -> None:
    captioner = make_captioner(ShowAndTell)
    odds = torch.tensor([1, 1, 1, 1, 2, 4, 2, 2, 1, 1.0])  # of 16
    with torch.no_grad():
        captioner.decoder.output.weight.zero_()
        captioner.decoder.output.bias.copy_(odds.log())
    batch = make_batch(make_captions([[4, 5, 3], [5]], [0, 1]))
    # -log2 of 2/16, 4/16 and 1/16, then of 4/16: 3 + 2 + 4 and 2 bits over four words.
    assert loss_of(captioner, batch).value.item() == pytest.approx(11 / 4 * math.log(2))


@each_decoder
def test_the_loss_is_the_average_over_words_not_captions(kind: type[Decoder]) -> None:
    captioner, batch = make_captioner(kind), make_batch()
    words = [word for row in ROWS for word in row]
    said = [
        scores[word] for scores, word in zip(word_by_word(captioner, batch), words, strict=True)
    ]
    loss = loss_of(captioner, batch)
    assert loss.value.item() == pytest.approx(-sum(said).item() / 15, rel=1e-12)
    assert loss.logs["cross_entropy"].item() == loss.value.item()
    assert not loss.logs["cross_entropy"].requires_grad


@pytest.mark.parametrize("label_smoothing", [0.1, 0.9])
@each_decoder
def test_label_smoothing_spreads_its_share_over_the_whole_vocabulary(
    kind: type[Decoder], label_smoothing: float
) -> None:
    captioner, batch = make_captioner(kind), make_batch()
    uniform = -torch.stack([scores.mean() for scores in word_by_word(captioner, batch)]).mean()
    plain = loss_of(captioner, batch).value
    expected = (1 - label_smoothing) * plain + label_smoothing * uniform
    smoothed = loss_of(captioner, batch, label_smoothing).value
    assert smoothed.item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_loss_of_knowing_nothing_is_log_v_and_of_knowing_all_is_zero() -> None:
    captioner, batch = make_captioner(Lrcn), make_batch(make_captions([[4, 4, 4], [4]], [0, 1]))
    with torch.no_grad():
        captioner.decoder.output.weight.zero_()
        captioner.decoder.output.bias.zero_()
        assert loss_of(captioner, batch).value.item() == pytest.approx(math.log(10))
        captioner.decoder.output.bias[4] = 100
        assert loss_of(captioner, batch).value.item() == pytest.approx(0, abs=1e-12)


@each_decoder
def test_padding_changes_nothing(kind: type[Decoder]) -> None:
    captioner = make_captioner(kind)
    tight, wide = (loss_of(captioner, make_batch(make_captions(columns=n))) for n in (0, 3))
    assert wide.value.item() == pytest.approx(tight.value.item(), rel=1e-12)


@each_decoder
def test_the_loss_of_a_batch_is_that_of_its_captions_weighted_by_length(
    kind: type[Decoder],
) -> None:
    captioner, total = make_captioner(kind), 0.0
    for row, owner in zip(ROWS, OWNERS, strict=True):
        alone = make_batch(make_captions([row], [owner]))
        total += len(row) * loss_of(captioner, alone).value.item()
    assert loss_of(captioner, make_batch()).value.item() == pytest.approx(total / 15, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "label_smoothing"), [*((kind, 0.0) for kind in DECODERS), (ShowAndTell, 0.2)]
)
def test_the_gradient_agrees_with_finite_differences(
    kind: type[Decoder], label_smoothing: float
) -> None:
    captioner, batch = (
        make_captioner(kind, tied=True),
        make_batch(),
    )
    weights = list(captioner.decoder.parameters())
    check_gradient(lambda: loss_of(captioner, batch, label_smoothing).value, weights)


def test_the_gradient_reaches_an_encoder_that_learns() -> None:
    captioner = make_captioner(Lrcn).train()  # normalised, its few channels are not all dead
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    loss_of(captioner, make_batch()._replace(images=images, features=None)).value.backward()
    for name, weights in captioner.encoder.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.abs().max() > 0, name


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0])
def test_label_smoothing_outside_zero_to_one_is_refused(label_smoothing: float) -> None:
    with pytest.raises(InputError, match=rf"label_smoothing .* got {label_smoothing}"):
        TeacherForcing(label_smoothing)
