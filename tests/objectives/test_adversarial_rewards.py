"""What is read off a discriminator: rewards, each word's part of them, and how good it is."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captioning.batch import Captions
from captioning.decoder import Lrcn
from captioning.discriminator import Discriminator
from captioning.divergences import log_odds
from captioning.errors import InputError
from captioning.objectives.adversarial import (
    Adversarial,
    Prior,
    calibration_error,
    earned_from_on,
    judgement,
)
from captioning.objectives.log_ratio import LIMITS, RewardName, reward
from captioning.objectives.policy_gradient import PolicyGradient, mean_of_others, reinforce
from tests.support.builders import (
    VOCABULARY,
    as_mixtures,
    make_captioner,
    make_captions,
    make_features,
    one_line,
)
from tests.support.spoken import every_caption, said

STEPS = 6


class Perfect(Discriminator):
    """Knows log P/Q, which is here the sum of what the words are worth; and how much is real."""

    def __init__(self, shown: float) -> None:
        super().__init__()
        self.worth = nn.Parameter(torch.linspace(-1, 2, len(VOCABULARY), dtype=torch.float64))
        self.shift = log_odds(shown)

    def forward(
        self, features: Tensor, captions: Captions, mixtures: Tensor | None = None
    ) -> Tensor:
        words = as_mixtures(captions) if mixtures is None else mixtures
        totals = captions.unpack(words @ self.worth).cumsum(1)
        return totals.t()[captions.mask] + self.shift


def make_objective(
    prior: Prior, kind: RewardName = "js", *, per_prefix: bool = False
) -> tuple[Adversarial, Perfect]:
    discriminator = Perfect(prior.shown)
    objective = Adversarial(
        lambda *_: discriminator, PolicyGradient(4, steps=STEPS), prior, kind, per_prefix
    )
    objective.prepare(make_captioner(Lrcn), {})
    return objective, discriminator


def log_ratios(captions: Captions) -> Tensor:
    """What `Perfect` knows, by a loop; of every prefix, packed."""
    worth = Perfect(0.5).worth.detach()
    totals = torch.zeros_like(captions.tokens, dtype=torch.float64)
    for row, t in itertools.product(range(len(totals)), range(totals.shape[1])):
        totals[row, t] = worth[captions.tokens[row, : t + 1]].sum()
    return totals.t()[captions.mask]


@pytest.mark.parametrize("kind", ["js", "reverse_kl", "log_d", "likelihood"])
@pytest.mark.parametrize("real", [0.1, 0.5, 0.9])
def test_both_ways_of_setting_the_prior_give_the_reward_of_the_log_ratio(
    kind: RewardName, real: float
) -> None:
    captions, features = make_captions(), make_features()
    of_prefixes = reward(kind, log_ratios(captions), real)
    whole = torch.stack(
        [captions.unpack(of_prefixes)[row, n - 1] for row, n in enumerate(captions.lengths)]
    )
    for by in ("share",) if kind in LIMITS and real != 0.5 else ("share", "logit_shift"):
        for words in (None, as_mixtures(captions)):
            objective, _ = make_objective(Prior(real, by), kind)
            torch.testing.assert_close(objective.judge(features, captions, words), whole)
            objective, _ = make_objective(Prior(real, by), kind, per_prefix=True)
            torch.testing.assert_close(
                objective.judge(features, captions, words),
                earned_from_on(captions, of_prefixes, STEPS) / STEPS,
            )


def test_a_prior_is_a_chance_and_says_what_share_is_shown() -> None:
    assert Prior(0.2, "share").shown == 0.2
    assert Prior(0.2).shown == Prior(0.2, "logit_shift").shown == 0.5
    for chance in (0.0, 1.0, -1.0):
        with pytest.raises(InputError, match=r"a prior is the chance .* got") as error:
            Prior(chance)
        one_line(error)


def test_the_last_value_of_each_caption_is_taken() -> None:
    captions = make_captions()  # of lengths 5, 4, 3, 2 and 1
    values = torch.arange(15.0)  # packed: 0 … 4 at the first place, 5 … 8 at the second, …
    assert captions.last(values).tolist() == [14, 13, 11, 8, 4]
    assert make_captions(columns=2).last(values).tolist() == [14, 13, 11, 8, 4]


@pytest.mark.parametrize("columns", [0, 1])
def test_what_is_earned_from_a_word_on_is_what_a_loop_gives(columns: int) -> None:
    captions = make_captions(columns=columns)
    worth = torch.randn(15, generator=torch.Generator().manual_seed(0))
    found = earned_from_on(captions, worth, STEPS)
    table = captions.unpack(worth)
    for row, length in enumerate(captions.lengths.tolist()):
        for t in range(found.shape[1]):
            prefixes = [table[row, min(k, length - 1)] for k in range(t, STEPS)]
            assert found[row, t].item() == pytest.approx(sum(prefixes).item(), abs=1e-6)


def test_where_every_caption_earns_the_same_none_has_an_advantage_at_any_word() -> None:
    captions = make_captions(owners=[0] * 5)  # of five lengths
    earned = earned_from_on(captions, torch.full((15,), 0.7), STEPS)
    assert mean_of_others(earned, captions.image_index).allclose(earned)


def test_it_climbs_the_sum_over_prefix_lengths_of_the_expected_reward() -> None:
    """By enumeration; a prefix that reaches beyond its caption is the caption."""
    captioner, features, every = make_captioner(Lrcn), make_features(1), every_caption(3)
    words = said(captioner, features, every)
    chances = words.sum(1).exp()
    worth = reward("js", log_ratios(every), 0.3)
    table = every.unpack(worth)
    expected = torch.zeros((), dtype=torch.float64)
    for k in range(3):
        of_prefix = table.gather(1, (every.lengths - 1).clamp(max=k)[:, None]).squeeze(1)
        expected = expected + chances @ of_prefix
    weights = list(captioner.decoder.parameters())
    exact = torch.autograd.grad(-expected, weights, retain_graph=True)
    earned = earned_from_on(every, worth, 3)
    drawn = len(earned) * chances.detach()[:, None] * earned
    for one, other in zip(
        torch.autograd.grad(reinforce(words, drawn), weights), exact, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_the_gradient_of_a_reward_reaches_words_and_nothing_of_the_discriminator() -> None:
    captions, features = make_captions(), make_features().requires_grad_()
    for per_prefix in (False, True):
        objective, discriminator = make_objective(Prior(), per_prefix=per_prefix)
        mixtures = as_mixtures(captions).requires_grad_()
        objective.judge(features.detach(), captions, mixtures).sum().backward()
        assert (mixtures.grad.abs().sum(1) > 0).all()
        assert discriminator.worth.grad is None
        assert discriminator.worth.requires_grad


def test_a_calibration_error_worked_by_hand() -> None:
    stated = torch.tensor([0.9, 0.92, 0.95, 0.1, 0.15, 1.0])
    real = torch.tensor([True, False, True, False, True, True])
    # Of the four at 0.9 and more, stated 3.77 together, three are real; of two, stated 0.25, one.
    expected = (abs(3.77 - 3) + abs(0.25 - 1)) / 6
    assert calibration_error(stated.logit(), real).item() == pytest.approx(expected, abs=1e-6)


def test_a_discriminator_is_calibrated_where_it_states_the_share_of_real_captions() -> None:
    half = torch.zeros(10)
    assert calibration_error(half, torch.arange(10) < 5).item() == 0
    assert calibration_error(half, torch.arange(10) < 10).item() == 0.5
    assert calibration_error(100 * torch.ones(10), torch.arange(10) < 0).item() == 1
    sure = torch.tensor([100.0, -100.0], dtype=torch.float64)
    assert calibration_error(sure, torch.tensor([True, False])).item() < 1e-6


def test_more_bins_see_more_of_a_miscalibration() -> None:
    stated, real = torch.tensor([0.2, 0.8]), torch.tensor([True, False])
    assert calibration_error(stated.logit(), real, bins=1).item() == pytest.approx(0)
    assert calibration_error(stated.logit(), real, bins=2).item() == pytest.approx(0.8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_judgement_worked_by_hand(dtype: torch.dtype) -> None:
    real, generated = torch.tensor([2.0, -1.0], dtype=dtype), torch.tensor([-3.0], dtype=dtype)
    logs = judgement(real, generated, Prior(0.75, "share"))
    assert logs["accuracy"].item() == pytest.approx(2 / 3)
    assert logs["log_ratio"].item() == pytest.approx(-3 - log_odds(0.75))
    stated = torch.tensor([2.0, -1.0, -3.0]).sigmoid()
    gaps = (stated - torch.tensor([1.0, 1.0, 0.0])).abs()
    assert logs["calibration_error"].item() == pytest.approx(gaps.mean().item())
    shifted = judgement(real, generated, Prior(0.75))
    assert shifted["log_ratio"].item() == -3


def test_a_captioner_that_is_the_truth_earns_the_same_by_every_caption() -> None:
    captions = make_captions()
    objective, discriminator = make_objective(Prior(0.3))
    with torch.no_grad():
        discriminator.worth.zero_()
    earned = objective.judge(make_features(), captions, None)
    expected = functional.softplus(torch.tensor(log_odds(0.3))) / 0.3
    torch.testing.assert_close(earned, expected.double().expand(5))
