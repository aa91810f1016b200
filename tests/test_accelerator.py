"""Training, searching and judging as on a GPU: on another device, and in mixed precision."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import pytest
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import nn

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.decoder import Decoder, ShowAndTell, ShowAttendTell
from captioning.discriminator import Discriminator
from captioning.evaluation import critic
from captioning.evaluation.baselines import directions
from captioning.evaluation.law import measure
from captioning.objectives.adversarial import Adversarial, Negatives, Prior
from captioning.objectives.base import Objective
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.scheduled_sampling import ScheduledSampling
from captioning.objectives.self_critical import SelfCritical
from captioning.objectives.straight_through import StraightThrough
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Constant, Progress
from captioning.search import Beam, Greedy, Sampling, Search
from tests.support.builders import (
    DECODERS,
    DISCRIMINATORS,
    make_batch,
    make_captioner,
    make_discriminator,
    make_features,
)
from tests.support.elsewhere import ELSEWHERE, Away, Elsewhere

STEPS = 4
HALF = Constant(0.5)
MATCHING, RECURRENT = (
    partial(lambda kind, *_: make_discriminator(kind, spectral_norm=True).float(), kind)
    for kind in DISCRIMINATORS
)
POLICY = PolicyGradient(2, "mean", STEPS)
OBJECTIVES: list[Objective] = [
    TeacherForcing(),
    TeacherForcing(label_smoothing=0.1),
    ScheduledSampling(HALF),
    ScheduledSampling(HALF, "sequence", "argmax", parallel=True),
    ScheduledSampling(HALF, replacement="uniform"),
    SelfCritical(PolicyGradient(2, "greedy", STEPS)),
    SelfCritical(PolicyGradient(2, "leave_one_out", STEPS, rollouts=2)),
    Adversarial(RECURRENT, POLICY, per_prefix=True, negatives=Negatives(0.5, replay=2)),
    Adversarial(MATCHING, POLICY, Prior(0.6, by="share"), reward="log_d", likelihood=0.5),
    Adversarial(RECURRENT, StraightThrough(samples=2, steps=STEPS), reward="reverse_kl"),
]
SEARCHES = [
    Greedy(STEPS),
    Beam(3, length_penalty=0.5, block_trigrams=True, keep=2, steps=6),
    Sampling(2, top_k=5, top_p=0.9, steps=STEPS),
]

each_decoder = pytest.mark.parametrize("decoder", DECODERS)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as here:
        yield here


def there(decoder: type[Decoder]) -> tuple[Captioner, Batch]:
    """A captioner and a batch, which Lightning moves."""
    batch = make_batch(features=make_features().float())
    return make_captioner(decoder).float().to(ELSEWHERE), move_data_to_device(batch, ELSEWHERE)


def objective_id(objective: Objective) -> str:
    return type(objective).__name__


@each_decoder
@pytest.mark.parametrize("objective", OBJECTIVES, ids=objective_id)
def test_every_turn_of_an_objective(
    elsewhere: Elsewhere, objective: Objective, decoder: type[Decoder]
) -> None:
    captioner, batch = there(decoder)
    captioner.train()
    objective = deepcopy(objective)
    objective.prepare(captioner, dict(zip(batch.image_ids, batch.references, strict=True)))
    module = nn.ModuleList([captioner, objective]).to(ELSEWHERE)
    for turn in (*objective.turns, *objective.turns):  # at the second, there is a replay
        module.zero_grad()
        loss = objective(captioner, batch, turn=turn, progress=Progress(1, 0.5))
        elsewhere.waits.clear()
        loss.value.backward()
        player = captioner.decoder if turn == "captioner" else objective.get_submodule(turn)
        assert all(isinstance(each.grad, Away) for each in player.parameters())
        nn.utils.clip_grad_norm_(player.parameters(), 1.0)
        assert not elsewhere.waits  # a loss waits where captions end, but no gradient does


@each_decoder
@pytest.mark.parametrize("objective", OBJECTIVES, ids=objective_id)
def test_losses_in_mixed_precision_are_not_rounded(
    objective: Objective, decoder: type[Decoder]
) -> None:
    captioner, batch = make_captioner(decoder).float(), make_batch(features=make_features().float())
    objective = deepcopy(objective)
    objective.prepare(captioner, dict(zip(batch.image_ids, batch.references, strict=True)))
    for turn in objective.turns:
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(captioner, batch, turn=turn, progress=Progress(1, 0.5))
        assert {each.dtype for each in (loss.value, *loss.logs.values())} == {torch.float32}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_cross_entropy_of_halves_is_that_of_their_logits(smoothing: float) -> None:
    captioner, batch = make_captioner(ShowAndTell).float(), make_batch()
    outputs, targets = torch.randn(len(batch.captions.targets), 5), batch.captions.targets
    decoder = captioner.decoder
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder.cross_entropy(outputs.bfloat16(), targets, smoothing)
        logits = decoder.logits(outputs.bfloat16())
    assert logits.dtype == torch.bfloat16
    scores = logits.double().log_softmax(1)
    picked = scores.gather(1, targets[:, None]).mean()
    expected = -(1 - smoothing) * picked - smoothing * scores.mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@each_decoder
@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)
def test_a_search_of_two_captioners(
    elsewhere: Elsewhere, search: Search, decoder: type[Decoder]
) -> None:
    captioner, batch = there(decoder)
    features = captioner.encode(batch)
    found = search([captioner, captioner], [features, features])
    assert all(isinstance(each, Away) for each in found)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_a_critic_is_trained_and_judges(elsewhere: Elsewhere, kind: type[Discriminator]) -> None:
    captioner, _ = there(ShowAttendTell)
    batch = make_batch(features=make_features().float())  # evaluation moves the features alone
    judge = make_discriminator(kind).float().to(ELSEWHERE)
    search, generator = Sampling(2, steps=STEPS), torch.Generator()
    shown = [critic.show(captioner, batch, search, generator) for _ in range(2)]
    critic.train(judge, shown, critic.Plan(steps=2), generator)
    judged = critic.judge_all(judge, shown)
    assert isinstance(judged.accuracy, Away)
    assert critic.summarise(judged, 0)["accuracy"][0] <= 1


def test_a_law_is_measured_and_comes_back(elsewhere: Elsewhere) -> None:
    captioner, batch = there(ShowAttendTell)
    laws = [{"ant": 0.5, "bee cat": 0.5}] * 3
    found = measure([captioner], [captioner.encode(batch)], laws, torch.Generator())
    assert all(each.forward_kl.is_cpu for each in found)


def test_images_are_moved_to_an_encoder_and_directions_come_back(elsewhere: Elsewhere) -> None:
    captioner, _ = there(ShowAttendTell)
    features = captioner.encode_images(torch.zeros(2, 3, 16, 16))
    assert isinstance(features, Away)
    assert directions(features.detach()).shape == (2, 4)


def test_what_lies_on_two_devices_does_not_meet(elsewhere: Elsewhere) -> None:
    captioner, batch = there(ShowAttendTell)
    with pytest.raises(RuntimeError, match="two devices"):
        captioner.decoder(captioner.encode(batch), make_batch().captions.inputs, batch.captions)
    elsewhere.waits.clear()
    assert (torch.ones(2, device=ELSEWHERE) + torch.tensor(1.0)).tolist() == [2, 2]
    assert elsewhere.waits == {"copy": 1}
