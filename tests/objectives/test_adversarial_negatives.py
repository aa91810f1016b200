"""What may join the adversarial game: other negatives, earlier captions, the likelihood."""

import re

import pytest
import torch
from torch.nn import functional

from captioning.batch import Batch, Captions
from captioning.decoder import Lrcn
from captioning.discriminator import RecurrentDiscriminator
from captioning.errors import InputError
from captioning.objectives.adversarial import (
    Adversarial,
    Negatives,
    cross_entropy,
    mismatch,
    sayable,
)
from captioning.objectives.base import Loss
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.replay import Replay
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Progress
from captioning.text import END, PAD, UNKNOWN
from tests.support.builders import (
    OWNERS,
    ROWS,
    make_batch,
    make_captioner,
    make_captions,
    make_discriminator,
    make_features,
    one_line,
)

START = Progress(0, 0.0)


def make_objective(**options: object) -> Adversarial:
    objective = Adversarial(
        lambda *_: make_discriminator(RecurrentDiscriminator), PolicyGradient(3, steps=4), **options
    )
    objective.prepare(make_captioner(Lrcn), {})
    return objective


def value_of(objective: Adversarial, turn: str, seed: int = 0, batch: Batch | None = None) -> float:
    captioner = make_captioner(Lrcn)
    torch.manual_seed(seed)
    loss: Loss = objective(captioner, batch or make_batch(), turn=turn, progress=START)
    return loss.value.item()


def test_the_cross_entropy_is_the_mean_over_real_and_generated() -> None:
    real, generated = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0.3, -2.0])
    nothing = torch.zeros(0)
    for one, other in ((real, generated), (real, nothing), (nothing, generated)):
        labels = torch.tensor([1.0] * len(one) + [0.0] * len(other))
        expected = functional.binary_cross_entropy_with_logits(torch.cat([one, other]), labels)
        assert cross_entropy(one, other, nothing).item() == pytest.approx(expected.item())


def test_earlier_captions_share_the_weight_of_the_generated() -> None:
    real, zero = torch.tensor([0.0, 0.0]), torch.tensor([0.0])
    likely, unlikely = torch.tensor([40.0] * 3), torch.tensor([-40.0] * 3)
    # Two real ones at log 2; one generated at log 2, or a quarter of log 2 and three of the other.
    two = torch.tensor(2.0).log()
    assert cross_entropy(real, zero, unlikely).item() == pytest.approx((2 * two + two / 4) / 3)
    assert cross_entropy(real, zero, likely).item() == pytest.approx((2 * two + two / 4 + 30) / 3)


def test_real_captions_that_nobody_could_generate_are_not_shown() -> None:
    whole, unknown, cut = [4, 5, 6, END], [4, UNKNOWN, END], [4, 5, 6]
    captions = make_captions([whole, cut, unknown, [7, END]], [0, 1, 2, 0])
    kept = sayable(captions, 4)
    assert kept.tokens.tolist() == [whole, [7, END, PAD, PAD]]
    assert kept.image_index.tolist() == [0, 0]
    assert sayable(captions, 3).tokens.tolist() == [[7, END]]
    assert torch.equal(sayable(captions, 1).tokens, captions.tokens)


def test_the_discriminator_learns_of_such_captions_alone() -> None:
    captioner = make_captioner(Lrcn)
    values = []
    for rows in ([[4, 5, END], [4, UNKNOWN, END], [6, 7, 8]], [[4, 5, END]]):
        torch.manual_seed(0)
        batch = make_batch(make_captions(rows, [1] * len(rows)))
        loss = make_objective()(captioner, batch, turn="discriminator", progress=START)
        values.append(loss.value.item())
    assert values[0] == pytest.approx(values[1])


def test_mismatched_captions_keep_their_words_and_change_their_image() -> None:
    captions, seen = make_captions(), set()
    for seed in range(20):
        torch.manual_seed(seed)
        changed = mismatch(captions, 3)
        assert torch.equal(changed.tokens, captions.tokens)
        assert torch.equal(changed.lengths, captions.lengths)
        assert (changed.image_index != captions.image_index).all()
        assert changed.image_index.max() < 3
        seen.add(tuple(changed.image_index.tolist()))
    assert len(seen) == 2


def test_one_image_alone_has_no_mismatched_captions() -> None:
    """As in the last batch of an epoch, or where other images cannot be opened."""
    batch = make_batch(make_captions([[4, END], [5, END]], [0, 0]), make_features(1))
    plain, mismatched = (
        value_of(make_objective(negatives=Negatives(mismatched=weight)), "discriminator", 0, batch)
        for weight in (0.0, 2.0)
    )
    assert mismatched == plain


def test_mismatched_captions_count_with_their_weight() -> None:
    plain = value_of(make_objective(), "discriminator")
    light, heavy = (
        value_of(make_objective(negatives=Negatives(mismatched=weight)), "discriminator")
        for weight in (0.5, 2.0)
    )
    assert light > plain
    assert heavy - plain == pytest.approx(4 * (light - plain))
    discriminator = make_discriminator(RecurrentDiscriminator)
    possible = []
    for shift in (1, 2):
        owners = [(owner + shift) % 3 for owner in OWNERS]
        captions = sayable(make_captions(ROWS, owners), 4)
        logits = captions.unpack(discriminator(make_features(), captions))
        judged = logits.gather(1, captions.lengths[:, None] - 1)
        possible.append(functional.softplus(judged).mean().item())
    assert min(abs(2 * (light - plain) - each) for each in possible) < 1e-6


def kept(replay: Replay) -> list[int]:
    return [captions.tokens[0, 0].item() for _, captions in replay.kept]


def exchange(replay: Replay, token: int) -> Captions | None:
    """Hand in a caption of this one word."""
    said = replay.exchange(make_features(1, seed=token), make_captions([[token]], [0]))
    if said is None:
        return None
    features, captions = said
    assert torch.equal(features, make_features(1, seed=int(captions.tokens[0, 0])))
    return captions


def test_a_replay_fills_up_then_what_it_gives_makes_room() -> None:
    torch.manual_seed(0)
    replay, given = Replay(3), []
    assert exchange(replay, 4) is None
    for token in range(5, 30):
        before = kept(replay)
        (word,) = exchange(replay, token).tokens[0].tolist()
        assert word in before
        if len(before) < 3:
            assert kept(replay) == [*before, token]
        else:
            assert kept(replay) == [token if each == word else each for each in before]
        given.append(word)
    assert len(set(given[2:])) == len(given[2:])  # nothing comes twice once it is full


def test_a_replay_is_saved_and_restored_with_the_objective() -> None:
    objective = make_objective(negatives=Negatives(replay=2))
    for seed in range(3):
        value_of(objective, "discriminator", seed)
    other = make_objective(negatives=Negatives(replay=2))
    other.load_state_dict(objective.state_dict())
    assert len(other.replay.kept) == 2
    expected = value_of(objective, "discriminator", 7)
    assert value_of(other, "discriminator", 7) == expected
    assert value_of(make_objective(), "discriminator", 7) != expected


def test_the_first_turn_has_nothing_to_replay() -> None:
    replaying = make_objective(negatives=Negatives(replay=2))
    assert value_of(replaying, "discriminator") == value_of(make_objective(), "discriminator")


@pytest.mark.parametrize("options", [{"mismatched": -0.5}, {"replay": -1}], ids=str)
def test_less_than_no_negatives_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError) as error:
        Negatives(**options)
    assert re.search("must be 0 or more, got", one_line(error))


@pytest.mark.parametrize("weight", [0.3, 2.0])
def test_the_likelihood_is_added_with_its_weight(weight: float) -> None:
    captioner, batch = make_captioner(Lrcn), make_batch()
    forced = TeacherForcing()(captioner, batch, turn="captioner", progress=START).value.item()
    expected = value_of(make_objective(), "captioner") + weight * forced
    assert value_of(make_objective(likelihood=weight), "captioner") == pytest.approx(expected)
    objective = make_objective(likelihood=weight)
    logs = objective(captioner, batch, turn="captioner", progress=START).logs
    assert logs["cross_entropy"].item() == pytest.approx(forced)
    alone = value_of(make_objective(), "discriminator")
    assert value_of(objective, "discriminator") == alone
