"""What all estimators share: speaking without dropout, by the captioner's own law."""

import math

import pytest
import torch
from torch import nn

from captioning.decoder import Decoder, Lrcn, ShowAttendTell
from captioning.objectives.estimators import (
    complete,
    describe,
    speak,
    speak_with_gradient,
    without_dropout,
)
from captioning.objectives.policy_gradient import draw_word
from captioning.text import END, PAD
from tests.support.builders import (
    DECODERS,
    OWNERS,
    ROWS,
    make_captioner,
    make_captions,
    make_features,
)
from tests.support.spoken import LIKELY, every_caption, place_in, said, surprise

each_decoder = pytest.mark.parametrize("kind", DECODERS)


def test_dropout_alone_is_switched_off_and_comes_back() -> None:
    still, falls, norm = nn.Dropout().eval(), nn.Dropout(), nn.BatchNorm1d(2)
    network, other = nn.Sequential(still, falls, norm), nn.Dropout()

    def states() -> list[bool]:
        return [module.training for module in (network, still, falls, norm, other)]

    with without_dropout(network, other):
        assert states() == [True, False, False, True, False]
        with without_dropout(network):
            assert states() == [True, False, False, True, False]
        assert states() == [True, False, False, True, False]
    assert states() == [True, False, True, True, True]


def test_dropout_comes_back_after_an_error() -> None:
    dropout = nn.Dropout()
    with pytest.raises(KeyError), without_dropout(dropout):
        raise KeyError
    assert dropout.training


@pytest.mark.parametrize("image", [0, 2])
@each_decoder
def test_captions_are_drawn_by_the_law_of_the_captioner_without_dropout(
    kind: type[Decoder], image: int
) -> None:
    captioner, features, every = make_captioner(kind), 3 * make_features(), every_caption(3)
    law = said(captioner, features[image : image + 1], every).sum(1).exp()
    assert law.sum().item() == pytest.approx(1)
    torch.manual_seed(1)
    speaker = make_captioner(kind, dropout=0.5).train()
    image_index = torch.tensor([image, 1]).repeat(4000)
    captions = speak(speaker, features, image_index, 3)
    drawn = place_in(every, captions)
    assert surprise(drawn[captions.image_index == image], law) < LIKELY
    assert surprise(drawn[captions.image_index == 1], law) > LIKELY
    assert speaker.decoder.dropout.training


@each_decoder
def test_captions_may_be_chosen_in_another_way(kind: type[Decoder]) -> None:
    captioner, features = make_captioner(kind), make_features()
    images = torch.tensor([1, 0, 2])
    captions = speak(captioner, features, images, 4, lambda scores: scores.argmax(1))
    scores = captioner.decoder.logits(captioner(features, captions))[:, END:]
    assert torch.equal(captions.targets, scores.argmax(1) + END)
    assert sorted(captions.image_index.tolist()) == [0, 1, 2]
    assert captions.lengths.max() <= 4


def test_speaking_leaves_no_gradient_and_says_no_special_token() -> None:
    captioner, features = make_captioner(Lrcn), make_features().requires_grad_()
    captions = speak(captioner, features, torch.arange(3).repeat(50), 5)
    assert captions.targets.min() == END
    for row, length in zip(captions.tokens.tolist(), captions.lengths.tolist(), strict=True):
        assert END not in row[: length - 1]
        assert set(row[length:]) <= {PAD}
    assert set(captions.lengths.tolist()) == {1, 2, 3, 4, 5}
    assert captions.lengths.diff().max() <= 0


@each_decoder
def test_all_captions_run_in_one_batch_and_an_image_is_looked_at_once(
    kind: type[Decoder],
) -> None:
    captioner, features = make_captioner(kind), make_features()
    looked: list[int] = []
    fed: list[int] = []
    eye = captioner.decoder.get_submodule("value" if kind is ShowAttendTell else "image")
    eye.register_forward_hook(lambda module, inputs, seen: looked.append(len(seen)))
    captioner.decoder.embedding.register_forward_hook(
        lambda module, inputs, words: fed.append(len(words))
    )
    owners = torch.arange(3).repeat_interleave(20)
    captions = speak(captioner, features, owners, 4)
    assert (looked, fed) == ([3], captions.active)
    captions, _, _ = speak_with_gradient(captioner, features, owners, 4, draw_word)
    assert (looked[1:], fed[4:]) == ([3], captions.active)


@each_decoder
def test_one_pass_gives_the_likelihoods_and_the_gradient_of_a_second_one(
    kind: type[Decoder],
) -> None:
    captioner, features = make_captioner(kind), make_features()
    owners = torch.arange(3).repeat_interleave(20)
    torch.manual_seed(0)
    captions, kept, entropies = speak_with_gradient(captioner, features, owners, 4, draw_word)
    expected = said(captioner, features, captions)
    torch.testing.assert_close(captions.unpack(kept), expected, rtol=0, atol=1e-12)
    forced = captioner.decoder.log_probabilities(captioner(features, captions))
    torch.testing.assert_close(entropies, torch.special.entr(forced.exp()).sum(1))
    assert not entropies.requires_grad
    weights = list(captioner.decoder.parameters())
    factors = torch.randn(expected.shape)
    found = torch.autograd.grad((factors * captions.unpack(kept)).sum(), weights)
    for one, other in zip(
        found, torch.autograd.grad((factors * expected).sum(), weights), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_every_true_prefix_is_completed_so_many_times() -> None:
    captioner, features, captions = make_captioner(Lrcn), make_features(), make_captions()
    completions, row, place = complete(captioner, features, captions, rollouts=3, steps=6)
    prefixes = [(r, t) for r, length in enumerate(captions.lengths) for t in range(length - 1)]
    assert sorted(zip(row.tolist(), place.tolist(), strict=True)) == sorted(prefixes * 3)
    assert torch.equal(completions.image_index, captions.image_index[row])
    assert completions.lengths.diff().max() <= 0
    assert completions.lengths.max() == 6
    for said_, r, t in zip(completions.tokens, row, place, strict=True):
        assert torch.equal(said_[: t + 1], captions.tokens[r, : t + 1])


@each_decoder
def test_completions_are_drawn_by_the_law_of_what_follows(kind: type[Decoder]) -> None:
    captioner, features, every = make_captioner(kind), 3 * make_features(), every_caption(3)
    words = said(captioner, features[1:2], every)
    law = torch.where(every.tokens[:, 0] == 6, words[:, 1:].sum(1).exp(), 0)
    assert law.sum().item() == pytest.approx(1)
    torch.manual_seed(0)
    speaker = make_captioner(kind, dropout=0.5).train()
    captions = make_captions([[4, 5, 6], [6, END]], [0, 1])
    completions, row, _ = complete(speaker, features, captions, rollouts=4000, steps=3)
    assert surprise(place_in(every, completions)[row == 1], law) < LIKELY
    assert speaker.decoder.dropout.training


def test_a_description_worked_by_hand() -> None:
    captions = make_captions([*ROWS, ROWS[0]], [*OWNERS, 0])  # 15 words and 5 END
    entropies = torch.tensor([1.5 * math.log(2), 0.0] * 10)
    found = {name: value.item() for name, value in describe(captions, entropies).items()}
    assert found == {
        "entropy": pytest.approx(1.5 * math.log(2) / 2),
        "words": pytest.approx(15 / 6),
        "distinct": pytest.approx(5 / 6),
    }
