"""Scheduled sampling: what is fed, how often, by which law; no gradient flows through it."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.decoder import Decoder, Lrcn, ShowAndTell
from captioning.errors import InputError
from captioning.objectives.base import Loss
from captioning.objectives.scheduled_sampling import (
    ScheduledSampling,
    feed_in_parallel,
    feed_uniform,
    feed_while_running,
    flip_coins,
)
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Constant, Linear, Progress
from captioning.text import BEGIN, END
from tests.support.builders import (
    DECODERS,
    VOCABULARY,
    check_gradient,
    make_batch,
    make_captioner,
    make_captions,
    make_decoder,
    make_features,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)
ALWAYS_SAMPLING = Constant(0.0)


def loss_of(captioner: Captioner, batch: Batch, **options: Any) -> Loss:
    """The loss half-way through a run."""
    objective = ScheduledSampling(**options)
    loss: Loss = objective(captioner, batch, turn="captioner", progress=Progress(5, 0.5))
    return loss


def alike(count: int, length: int) -> Captions:
    return make_captions([[4] * length] * count, [0] * count)


def truth_at(captions: Captions, share: float, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return flip_coins(captions, share, "token")


def real(captions: Captions, tokens: Tensor) -> list[list[int]]:
    """The tokens at real positions, caption by caption."""
    return [row[:length].tolist() for row, length in zip(tokens, captions.lengths, strict=True)]


def law_of(decoder: Decoder, outputs: Tensor) -> Tensor:
    return functional.pad(decoder.log_probabilities(outputs).exp(), (END, 0))


def chi_square(tokens: Tensor, probabilities: Tensor) -> float:
    """How far counts are from what is expected; tokens expected less than five times are joined."""
    counts = tokens.bincount(minlength=len(probabilities)).double()
    expected = probabilities.double() * len(tokens)
    bins = torch.where(expected < 5, len(expected), torch.arange(len(expected)))
    counts, expected = (torch.zeros(11).double().index_add(0, bins, x) for x in (counts, expected))
    return ((counts - expected) ** 2 / expected.clamp(min=1e-9)).sum().item()


# Of eleven bins at most: chance exceeds 36 once in 10,000 times, and the seeds are fixed.
LIKELY = 36


def test_the_first_step_is_always_the_truth() -> None:
    captions = alike(50, 4)
    for coin in ("token", "sequence"):
        truth = flip_coins(captions, 0.0, coin)
        assert truth[:, 0].all()
        assert not truth[:, 1:].any()
        assert flip_coins(captions, 1.0, coin).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_each_token_has_a_coin_of_its_own(share: float) -> None:
    torch.manual_seed(0)
    truth = flip_coins(alike(2000, 11), share, "token")[:, 1:].double()
    # 20,000 coins: four standard deviations are at most 4 · 0.5 / √20,000 = 0.0142.
    assert truth.mean().item() == pytest.approx(share, abs=0.0142)
    both = (truth[:, :-1] * truth[:, 1:]).mean().item()
    assert both == pytest.approx(share**2, abs=0.02)  # neighbours are independent
    assert 0 < truth.mean(1).std() < 0.2


def test_a_sequence_is_all_truth_or_none() -> None:
    torch.manual_seed(0)
    truth = flip_coins(alike(20_000, 5), 0.3, "sequence")[:, 1:]
    assert torch.equal(truth.all(1), truth.any(1))
    assert truth.all(1).double().mean().item() == pytest.approx(0.3, abs=0.0142)


def greedily_fed(
    decoder: Decoder, features: Tensor, captions: Captions, truth: Tensor
) -> list[list[int]]:
    """Caption by caption, step by step: the truth where the coin says so, else the likeliest."""
    fed = []
    for row, length, image, coins in zip(*captions, truth, strict=True):
        state = decoder.begin(features[image : image + 1], torch.tensor([0]))
        own = [BEGIN]
        for t in range(1, length):
            output, state = decoder.step(torch.tensor(own[-1:]), state)
            likeliest = END + decoder.log_probabilities(output).argmax().item()
            own.append(row[t - 1].item() if coins[t] else likeliest)
        fed.append(own)
    return fed


@pytest.mark.parametrize("share", [0.0, 0.5])
@each_decoder
def test_each_replacement_follows_what_was_fed_before_it(kind: type[Decoder], share: float) -> None:
    decoder, features, captions = make_decoder(kind).eval(), make_features(), make_captions()
    truth = truth_at(captions, share, seed=3)
    inputs = feed_while_running(decoder, features, captions, truth, "argmax")
    expected = greedily_fed(decoder, features, captions, truth)
    assert real(captions, inputs) == expected
    assert expected != real(captions, captions.inputs)


@pytest.mark.parametrize("share", [0.0, 0.5])
@each_decoder
def test_in_parallel_each_replacement_follows_the_truth(kind: type[Decoder], share: float) -> None:
    decoder, features, captions = make_decoder(kind).eval(), make_features(), make_captions()
    truth = truth_at(captions, share)
    predicted = captions.unpack(
        END + decoder.log_probabilities(decoder(features, captions.inputs, captions)).argmax(1)
    )
    expected = captions.inputs
    for row in range(len(expected)):
        for t in range(1, expected.shape[1]):
            if not truth[row, t]:
                expected[row, t] = predicted[row, t - 1]
    inputs = feed_in_parallel(decoder, features, captions, truth, "argmax")
    assert real(captions, inputs) == real(captions, expected)
    assert real(captions, inputs) != real(captions, captions.inputs)


@pytest.mark.parametrize("feed", [feed_while_running, feed_in_parallel])
def test_where_the_coin_says_truth_the_truth_is_fed(feed: Any) -> None:
    decoder, features = make_decoder(Lrcn).eval(), make_features()
    captions = make_captions([[4, 5, 6, 7, 8, 9]] * 50, [0, 1] * 25)
    truth = truth_at(captions, 0.5)
    inputs = feed(decoder, features, captions, truth, "sample")
    assert torch.equal(inputs[truth], captions.inputs[truth])
    uniform = feed_uniform(captions, truth, len(VOCABULARY))
    assert torch.equal(uniform[truth], captions.inputs[truth])


@each_decoder
def test_samples_follow_the_model_given_what_was_fed(kind: type[Decoder]) -> None:
    decoder, features = make_decoder(kind).eval(), make_features()
    captions = make_captions([[4, 5, 6]] * 8000, [1] * 8000)
    truth = truth_at(captions, 0.0)
    inputs = feed_while_running(decoder, features, captions, truth, "sample")
    state = decoder.begin(features[1:2], torch.tensor([0]))
    output, state = decoder.step(torch.tensor([BEGIN]), state)
    first = law_of(decoder, output)[0]
    assert chi_square(inputs[:, 1], first) < LIKELY
    common = first.argmax()
    output, _ = decoder.step(common[None], state)
    second = law_of(decoder, output)[0]
    assert chi_square(inputs[inputs[:, 1] == common, 2], second) < LIKELY
    assert chi_square(inputs[:, 2], first) > LIKELY


@each_decoder
def test_samples_in_parallel_follow_the_model_given_the_truth(kind: type[Decoder]) -> None:
    decoder, features = make_decoder(kind).eval(), make_features()
    captions = make_captions([[4, 5, 6]] * 8000, [1] * 8000)
    truth = truth_at(captions, 0.0)
    inputs = feed_in_parallel(decoder, features, captions, truth, "sample")
    outputs = decoder(features, captions.inputs, captions)
    laws = law_of(decoder, outputs)[::8000]
    assert chi_square(inputs[:, 1], laws[0]) < LIKELY
    assert chi_square(inputs[:, 2], laws[1]) < LIKELY
    common = inputs[:, 1] == laws[0].argmax()
    assert chi_square(inputs[common, 2], laws[1]) < LIKELY  # whatever was drawn before


def test_uniform_replacements_are_uniform_over_the_words() -> None:
    captions = make_captions([[4, 5, 6]] * 5000, [0] * 5000)
    inputs = feed_uniform(captions, truth_at(captions, 0.0), len(VOCABULARY))
    drawn = inputs[:, 1:].flatten()
    assert drawn.min() == END + 1
    assert drawn.max() == len(VOCABULARY) - 1
    law = torch.tensor([0.0] * (END + 1) + [1 / 6] * 6)
    assert chi_square(drawn, law) < LIKELY


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"coin": "sequence"},
        {"replacement": "argmax"},
        {"replacement": "uniform"},
        {"parallel": True},
        {"label_smoothing": 0.1},
    ],
    ids=str,
)
@each_decoder
def test_always_the_truth_is_teacher_forcing_exactly(
    kind: type[Decoder], options: dict[str, Any]
) -> None:
    captioner, batch = make_captioner(kind), make_batch()
    forcing = TeacherForcing(options.get("label_smoothing", 0.0))
    expected = forcing(captioner, batch, turn="captioner", progress=Progress(5, 0.5))
    loss = loss_of(captioner, batch, schedule=Constant(1.0), **options)
    assert loss.value.item() == expected.value.item()
    assert loss.logs["truth_share"].item() == 1


@pytest.mark.parametrize("parallel", [False, True])
@each_decoder
def test_the_loss_is_that_of_the_true_words_given_the_mixed_inputs(
    kind: type[Decoder], parallel: bool
) -> None:
    captioner, batch = make_captioner(kind), make_batch()
    options = {"replacement": "argmax", "parallel": parallel, "label_smoothing": 0.1}
    torch.manual_seed(1)
    loss = loss_of(captioner, batch, schedule=Constant(0.5), **options)
    features, captions = captioner.encode(batch), batch.captions
    truth = truth_at(captions, 0.5, seed=1)
    feed = feed_in_parallel if parallel else feed_while_running
    inputs = feed(captioner.decoder, features, captions, truth, "argmax")
    outputs = captioner(features, captions, inputs)
    expected = captioner.decoder.cross_entropy(outputs, captions.targets, 0.1)
    assert loss.value.item() == expected.item()
    weights = list(captioner.decoder.parameters())
    gradients = (torch.autograd.grad(value, weights) for value in (loss.value, expected))
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("parallel", [False, True])
@each_decoder
def test_the_gradient_agrees_with_finite_differences(kind: type[Decoder], parallel: bool) -> None:
    captioner, batch = make_captioner(kind), make_batch()

    def value() -> Tensor:
        options = {"replacement": "argmax", "parallel": parallel}
        return loss_of(captioner, batch, schedule=ALWAYS_SAMPLING, **options).value

    # The likeliest token does not change within a millionth, so the inputs are constants here.
    check_gradient(value, list(captioner.decoder.parameters()))


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("replacement", ["sample", "argmax"])
@each_decoder
def test_padding_changes_nothing(kind: type[Decoder], replacement: str, parallel: bool) -> None:
    captioner = make_captioner(kind)
    losses = []
    for columns in (0, 3):
        torch.manual_seed(2)
        options = {"replacement": replacement, "parallel": parallel}
        batch = make_batch(make_captions(columns=columns))
        losses.append(loss_of(captioner, batch, schedule=Constant(0.5), **options).value.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)


@pytest.mark.parametrize("replacement", ["sample", "argmax", "uniform"])
def test_a_caption_of_one_word_needs_no_replacement(replacement: str) -> None:
    captioner, batch = make_captioner(ShowAndTell), make_batch(make_captions([[4], [END]], [0, 1]))
    loss = loss_of(captioner, batch, schedule=ALWAYS_SAMPLING, replacement=replacement)
    forced = loss_of(captioner, batch, schedule=Constant(1.0))
    assert loss.value.item() == forced.value.item()


def test_the_schedule_says_the_share_of_truth() -> None:
    schedule = Linear(start=1.0, slope=0.5, length=1.0)
    loss = loss_of(make_captioner(Lrcn), make_batch(), schedule=schedule)
    assert loss.logs["truth_share"].item() == pytest.approx(0.75)
    assert loss.logs["cross_entropy"].item() == loss.value.item()
    published = loss_of(make_captioner(Lrcn), make_batch())
    assert published.logs["truth_share"].item() == pytest.approx(1000 / 1001, abs=1e-5)


def test_mixing_happens_in_training_mode_too_and_leaves_it_so() -> None:
    captioner = make_captioner(Lrcn, dropout=0.5).train()
    loss = loss_of(captioner, make_batch(), schedule=ALWAYS_SAMPLING)
    assert captioner.decoder.training
    assert torch.isfinite(loss.value)


def test_uniform_replacements_in_parallel_are_refused() -> None:
    with pytest.raises(InputError, match="leave one of the two out"):
        ScheduledSampling(replacement="uniform", parallel=True)
