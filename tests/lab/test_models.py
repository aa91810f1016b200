"""Models of a small world: their exact law, by hand and step by step, and what they never say."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.decoder import Decoder, Lrcn
from captioning.divergences import kl
from captioning.lab.models import (
    NOTHING,
    Bigram,
    NoImage,
    as_captions,
    log_table,
    lstm,
    speaker,
)
from captioning.lab.optimum import fit
from captioning.lab.worlds import World, random_world
from captioning.objectives.estimators import speak
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Progress
from captioning.text import BEGIN, END

MODELS: dict[str, Callable[[int, int], Decoder]] = {
    "bigram": Bigram,
    "lstm": lstm,
    "lrcn": lambda words, features: Lrcn(words, features, 8, 8, dropout=0.0),
}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
WORLD = random_world(3, 4, 1.0, torch.Generator().manual_seed(0))


def make_speaker(
    model: Callable[[int, int], Decoder], world: World = WORLD, seed: int = 0
) -> Captioner:
    """A speaker in doubles, with favourites."""
    captioner = speaker(world, model, seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in captioner.decoder.parameters():
            if weights.requires_grad:
                weights.add_(torch.randn(weights.shape, generator=generator), alpha=0.5)
    return captioner


@each_model
def test_the_table_is_a_law(model: Callable[[int, int], Decoder]) -> None:
    table = log_table(make_speaker(model), WORLD)
    assert table.shape == (3, 3, 3, 3)
    assert table.dtype == torch.float64
    assert table.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert table.std() > 0.1


@each_model
def test_the_table_is_what_stepping_word_by_word_gives(
    model: Callable[[int, int], Decoder],
) -> None:
    captioner = make_speaker(model)
    decoder, table = captioner.decoder, log_table(captioner, WORLD)
    for sequence in itertools.product(range(3), repeat=4):
        state, said = decoder.begin(NOTHING.double(), torch.tensor([0])), BEGIN
        total = 0.0
        for word in sequence:
            outputs, state = decoder.step(torch.tensor([said]), state)
            said = word + END + 1
            total += decoder.logits(outputs).log_softmax(1)[0, said].item()
        assert table[sequence].item() == pytest.approx(total, abs=1e-12)


@each_model
def test_nothing_but_words_is_ever_said(model: Callable[[int, int], Decoder]) -> None:
    captioner = make_speaker(model)
    captions = speak(captioner, NOTHING.double(), torch.zeros(500, dtype=torch.long), 4)
    assert captions.lengths.tolist() == [4] * 500
    assert captions.tokens.unique().tolist() == [END + 1, END + 2, END + 3]


@each_model
def test_what_is_drawn_follows_the_table(model: Callable[[int, int], Decoder]) -> None:
    captioner = make_speaker(model)
    torch.manual_seed(0)
    captions = speak(captioner, NOTHING.double(), torch.zeros(8000, dtype=torch.long), 2)
    drawn = (captions.tokens - END - 1) @ torch.tensor([3, 1])
    shares = drawn.bincount(minlength=9) / 8000
    law = log_table(captioner, WORLD).exp().sum((2, 3)).flatten().detach()
    # Of a share of 0.1 and 8,000 draws four standard deviations are 0.013.
    torch.testing.assert_close(shares.double(), law, rtol=0, atol=0.02)


@each_model
def test_training_leaves_the_special_tokens_impossible_and_all_else_finite(
    model: Callable[[int, int], Decoder],
) -> None:
    captioner = speaker(WORLD, model, 0)
    captions = as_captions(WORLD.sample(50, torch.Generator().manual_seed(0)))
    batch = Batch(None, NOTHING, captions, (0,), ((),))
    optimizer = Adam([p for p in captioner.parameters() if p.requires_grad], 0.1, fused=True)
    before = kl(WORLD.log_table, log_table(captioner, WORLD)).item()
    for _ in range(20):
        optimizer.zero_grad()
        loss = TeacherForcing()(captioner, batch, turn="captioner", progress=Progress(0, 0.0))
        loss.value.backward()
        optimizer.step()
    bias = captioner.decoder.output.bias
    assert bias[: END + 1].isneginf().all()
    assert bias[END + 1 :].isfinite().all()
    assert kl(WORLD.log_table, log_table(captioner, WORLD)).item() < before


def test_a_bigram_worked_by_hand() -> None:
    captioner = speaker(WORLD, Bigram, 0).double()
    first = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    following = torch.tensor(
        [[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.25, 0.25, 0.5]], dtype=torch.float64
    )
    with torch.no_grad():
        rows = captioner.decoder.embedding.weight
        rows[BEGIN, END + 1 :] = first.log()
        rows[END + 1 :, END + 1 :] = following.log()
    expected = torch.einsum("a,ab,bc,cd->abcd", first, following, following, following)
    torch.testing.assert_close(log_table(captioner, WORLD).exp(), expected)


def best_bigram() -> Tensor:
    """The law of the bigram that is nearest to the world by KL[P‖Q]."""
    captioner = speaker(WORLD, Bigram, 0).double()
    weights = [p for p in captioner.parameters() if p.requires_grad]
    with torch.no_grad():
        for each in weights:
            each[each.isfinite()] = 0.0
    fit(lambda: log_table(captioner, WORLD), weights, lambda log_q: kl(WORLD.log_table, log_q))
    return log_table(captioner, WORLD).exp().detach()


def test_the_best_bigram_has_the_mean_of_the_transitions() -> None:
    axes = [(2, 3), (0, 3), (0, 1)]
    pairs = torch.stack([WORLD.table.sum(others) for others in axes]).sum(0)
    following = pairs / pairs.sum(1, keepdim=True)
    first = WORLD.table.sum((1, 2, 3))
    expected = torch.einsum("a,ab,bc,cd->abcd", first, following, following, following)
    torch.testing.assert_close(best_bigram(), expected, rtol=0, atol=1e-6)


@each_model
def test_the_table_can_be_differentiated(model: Callable[[int, int], Decoder]) -> None:
    captioner = make_speaker(model)
    weights = [p for p in captioner.decoder.parameters() if p.requires_grad]
    divergence = kl(WORLD.log_table, log_table(captioner, WORLD))
    gradients = torch.autograd.grad(divergence, weights)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)


@pytest.mark.parametrize("words", [2, 12])
def test_a_speaker_has_the_words_of_its_world_and_is_the_same_for_the_same_seed(
    words: int,
) -> None:
    world = random_world(words, 2, 1.0, torch.Generator().manual_seed(0))
    one, same, other = (log_table(speaker(world, lstm, seed), world) for seed in (1, 1, 2))
    assert one.shape == (words, words)
    assert len(speaker(world, lstm, 0).vocabulary) == words + END + 1
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_sequences_become_captions_without_an_end() -> None:
    captions = as_captions(torch.tensor([[0, 2], [1, 1], [2, 0]]))
    assert captions.tokens.tolist() == [[4, 6], [5, 5], [6, 4]]
    assert captions.lengths.tolist() == [2, 2, 2]
    assert captions.image_index.tolist() == [0, 0, 0]


def test_there_is_nothing_to_see_and_nothing_to_be_trained_in_the_encoder() -> None:
    encoder = NoImage()
    assert encoder(torch.zeros(3, 3, 8, 8)).shape == (3, 1, 1)
    assert list(encoder.parameters()) == []
    assert math.prod(NOTHING.shape) == 1
