"""A decoder of a user's own: not an LSTM, and defined by its two methods alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from captioning.captioner import Captioner
from captioning.decoder import Decoder, State, Words
from captioning.encoder import SmallCnn
from captioning.objectives.base import Objective
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.rewards import FunctionReward
from captioning.objectives.scheduled_sampling import ScheduledSampling
from captioning.objectives.self_critical import SelfCritical
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Constant, Progress
from captioning.search import Beam, Greedy, Sampling, Search
from captioning.settings import arguments, describe, rebuild
from tests.support.builders import VOCABULARY, make_batch, make_captions, make_features

FEATURES = make_features().float()
SCRIPTED = SelfCritical(PolicyGradient(2, steps=5), FunctionReward(lambda words, _: len(words)))


class Gru(Decoder):
    """Two layers of GRU cells, which have a hidden state each and no cell."""

    def __init__(self, vocabulary_size: int, feature_size: int, hidden_size: int = 5) -> None:
        super().__init__(arguments(locals()), hidden_size, hidden_size)
        self.image = nn.Linear(feature_size, hidden_size)
        self.lower = nn.GRUCell(hidden_size, hidden_size)
        self.upper = nn.GRUCell(hidden_size, hidden_size)

    def begin(self, features: Tensor, image_index: Tensor) -> State:
        first = torch.tanh(self.image(features.mean(1)))
        return State((first, -first)).select(image_index)

    def step(self, words: Words, state: State) -> tuple[Tensor, State]:
        lower = self.lower(self.embed(words), state.recurrent[0])
        upper = self.upper(lower, state.recurrent[1])
        return self.dropout(upper), State((lower, upper))


@pytest.fixture
def captioner() -> Captioner:
    torch.manual_seed(0)
    encoder = SmallCnn(channels=4, image_size=16, features="grid")
    return Captioner(encoder, Gru(len(VOCABULARY), 4), VOCABULARY).eval()


@pytest.mark.parametrize("search", [Greedy(6), Sampling(2, steps=6), Beam(3, steps=6)])
def test_it_is_searched_as_it_is_trained(captioner: Captioner, search: Search) -> None:
    found = search([captioner], [FEATURES], torch.Generator().manual_seed(0))
    tokens = found.tokens.flatten(0, 1)
    owners = torch.arange(3).repeat_interleave(found.tokens.shape[1])
    captions = make_captions([row[row > 0].tolist() for row in tokens], owners.tolist())
    outputs = captioner(FEATURES, captions)
    log_q = captioner.decoder.log_probabilities(outputs)
    said = log_q.gather(1, captions.targets[:, None] - 3).squeeze(1)
    totals = captions.unpack(said).sum(1)
    assert_close(totals.sum(), found.log_probabilities.sum())


@pytest.mark.parametrize(
    "objective",
    [TeacherForcing(), ScheduledSampling(Constant(0.5)), SCRIPTED],
    ids=lambda objective: type(objective).__name__,
)
def test_every_weight_of_it_learns(captioner: Captioner, objective: Objective) -> None:
    objective.prepare(captioner, {number: ["ant bee", "cat"] for number in range(3)})
    loss = objective(
        captioner, make_batch(features=FEATURES), turn="captioner", progress=Progress(0, 0.0)
    )
    loss.value.backward()
    for name, weight in captioner.decoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all()


def test_a_checkpoint_builds_it_anew(captioner: Captioner) -> None:
    again = rebuild(describe(captioner.decoder), Decoder)
    assert again.settings == {"vocabulary_size": 10, "feature_size": 4, "hidden_size": 5}
    again.load_state_dict(captioner.decoder.state_dict())
