"""Self-critical training: its rewards, and what it does to a captioner."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import pytest
import torch
from pycocoevalcap.bleu.bleu import Bleu

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.decoder import ShowAndTell
from captioning.encoder import SmallCnn
from captioning.errors import InputError
from captioning.metrics import CiderD
from captioning.metrics.ngrams import Caption
from captioning.objectives.base import Objective
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.rewards import (
    BleuReward,
    CiderDReward,
    FunctionReward,
    WeightedSum,
)
from captioning.objectives.self_critical import SelfCritical
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Progress
from captioning.text import END, Vocabulary
from tests.support.builders import DECODERS, make_batch, make_captioner

START = Progress(0, 0.0)

REFERENCES = [
    ["ant bee cat", "ant bee dog"],
    ["cat dog elk fox", "cat dog"],
    ["fox", "elk fox"],
]

SPLIT = [[(*text.split(), "<end>") for text in texts] for texts in REFERENCES]


def length(caption: Caption, references: Sequence[Caption]) -> float:
    return float(len(caption))


def make_objective(captioner: Captioner, **options: object) -> SelfCritical:
    objective = SelfCritical(**options)
    objective.prepare(captioner, dict(enumerate(REFERENCES)))
    return objective


def test_cider_d_is_that_of_the_metric_with_the_frequencies_of_the_training_split() -> None:
    reward = CiderDReward()
    reward.prepare(SPLIT)
    captions, images = [["ant", "bee", "<end>"], ["fox", "<end>"], ["fox"]], [0, 2, 2]
    expected = CiderD(SPLIT).score(captions, images)
    assert reward(captions, images) == pytest.approx(expected)
    assert reward(captions, images)[1] > reward(captions, images)[2] > 0


def test_bleu_is_that_of_pycocoevalcap() -> None:
    reward = BleuReward()
    reward.prepare(SPLIT)
    captions = [["cat", "dog", "elk", "<end>"], ["elk", "fox", "<end>"]]
    plain = {i: [" ".join(words)] for i, words in enumerate(captions)}
    truth = {i: [" ".join(words) for words in SPLIT[image]] for i, image in enumerate((1, 2))}
    _, expected = Bleu(4).compute_score(truth, plain, verbose=0)
    assert reward(captions, [1, 2]) == pytest.approx(expected[3])


def test_any_function_of_caption_and_references_is_a_reward() -> None:
    reward = FunctionReward(lambda caption, references: len(caption) + 10 * len(references[0]))
    reward.prepare(SPLIT)
    assert reward([["ant"], ["ant", "bee"]], [1, 2]).tolist() == [51, 22]


def test_a_weighted_sum_adds_rewards_up_and_refuses_a_weight_too_few() -> None:
    reward = WeightedSum([FunctionReward(length), CiderDReward()], [2.0, 0.5])
    reward.prepare(SPLIT)
    captions = [["ant", "bee", "<end>"]]
    assert reward(captions, [0]) == pytest.approx(6 + CiderD(SPLIT).score(captions, [0]) / 2)
    with pytest.raises(InputError, match=r"a weight for each of its rewards, got 1 for 2"):
        WeightedSum([CiderDReward(), CiderDReward()], [1.0])


def test_the_end_is_a_word_unless_it_does_not_count() -> None:
    captioner = make_captioner(ShowAndTell)
    assert make_objective(captioner).words([4, 5, END, 0]) == ["ant", "bee", "<end>"]
    assert make_objective(captioner, count_end=False).words([4, 5, END, 0]) == ["ant", "bee"]


def test_without_the_end_a_caption_that_stops_too_early_loses_less() -> None:
    cut, whole = [4, 5, END], [4, 5, 6, END]

    def loss_of_cutting(count_end: bool) -> float:
        objective = make_objective(make_captioner(ShowAndTell), count_end=count_end)
        earned = objective.reward([objective.words(cut), objective.words(whole)], [0, 0])
        return float(earned[1] - earned[0])

    assert loss_of_cutting(count_end=True) > 1.5 * loss_of_cutting(count_end=False) > 0


def test_what_is_prepared_moves_with_the_objective() -> None:
    objective = make_objective(make_captioner(ShowAndTell))
    assert objective.to("meta").ending.is_meta
    assert "ending" not in objective.state_dict()


def test_bad_endings_are_cut_off_or_empty_or_end_in_what_ends_no_true_caption() -> None:
    objective = make_objective(make_captioner(ShowAndTell))  # "cat", "dog" and "fox" end captions
    rows = torch.tensor([[4, 5, 6, END], [4, 5, END, 0], [9, END, 0, 0], [4, 5, 6, 6]])
    captions = Captions.from_generated(rows, torch.zeros(4, dtype=torch.long))
    assert objective.bad_endings(captions) == 0.5
    empty = Captions.from_generated(torch.tensor([[END]]), torch.tensor([0]))
    assert objective.bad_endings(empty) == 1


def test_an_image_of_another_split_is_told() -> None:
    captioner = make_captioner(ShowAndTell)
    other = make_batch()._replace(image_ids=("other", 1, 2))
    with pytest.raises(InputError, match="for the training split only, got image 'other'"):
        make_objective(captioner)(captioner, other, turn="captioner", progress=START)


@pytest.mark.parametrize("baseline", ["none", "mean", "leave_one_out", "greedy"])
@pytest.mark.parametrize("kind", DECODERS, ids=lambda kind: kind.__name__)
def test_a_reward_is_climbed(kind: type, baseline: str) -> None:
    captioner = make_captioner(kind)
    objective = make_objective(
        captioner,
        estimator=PolicyGradient(16, baseline, steps=6),
        reward=FunctionReward(lambda caption, _: float("elk" in caption)),
    )
    optimizer = torch.optim.Adam(captioner.decoder.parameters(), lr=0.05)
    torch.manual_seed(0)
    earned = []
    for _ in range(14):
        optimizer.zero_grad()
        loss = objective(captioner, make_batch(), turn="captioner", progress=START)
        loss.value.backward()
        optimizer.step()
        earned.append(loss.logs["reward"].item())
    assert np.mean(earned[-5:]) > np.mean(earned[:2]) + 0.15


# Each of six beasts comes with five things, of which its image tells nothing.
BEASTS = [[f"a beast{i} with a thing{i}{thing}" for thing in "vwxyz"] for i in range(6)]


def make_beasts() -> tuple[Captioner, Batch]:
    """An untrained captioner, and all that there is to see and to say."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.build([text for texts in BEASTS for text in texts], minimum_count=1)
    decoder = ShowAndTell(len(vocabulary), 6, 32, 32, dropout=0.0)
    encoder = SmallCnn(channels=6, image_size=16, features="grid")
    captioner = Captioner(encoder, decoder, vocabulary)
    rows = [[*row, END] for texts in BEASTS for row in vocabulary.encode(texts)]
    captions = Captions.from_lists(rows, [i for i in range(6) for _ in range(5)])
    references = tuple(map(tuple, BEASTS))
    return captioner, Batch(None, 3 * torch.eye(6)[:, None], captions, tuple(range(6)), references)


def train_on(
    captioner: Captioner, batch: Batch, objective: Objective, turns: int, rate: float
) -> list[dict[str, torch.Tensor]]:
    """Train, and give what was logged at every turn."""
    objective.prepare(captioner, dict(enumerate(BEASTS)))
    optimizer = torch.optim.Adam(captioner.decoder.parameters(), rate)
    logs = []
    for turn in range(turns):
        torch.manual_seed(turn)
        optimizer.zero_grad()
        loss = objective(captioner, batch, turn="captioner", progress=START)
        loss.value.backward()
        optimizer.step()
        logs.append(loss.logs)
    return logs


@pytest.mark.slow
def test_captions_lose_their_endings_where_the_end_is_no_word_of_the_reward() -> None:
    """A guess at the thing costs more than it earns, unless "with a" and the end cost, too."""
    forced, batch = make_beasts()
    train_on(forced, batch, TeacherForcing(), 200, 0.01)

    def bad_endings(count_end: bool) -> list[float]:
        objective = SelfCritical(PolicyGradient(10, steps=8), count_end=count_end)
        logs = train_on(deepcopy(forced), batch, objective, 400, 0.005)
        return [each["bad_endings"].item() for each in logs]

    cut, whole = bad_endings(count_end=False), bad_endings(count_end=True)
    assert np.mean(cut[:20]) < 0.1
    assert np.mean(cut[-20:]) > 0.9
    assert np.mean(whole[-20:]) < 0.05
