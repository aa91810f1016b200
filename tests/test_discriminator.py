"""Discriminators: what they may see, what reaches them, and that they find out log P/Q."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captioning.batch import Captions
from captioning.discriminator import (
    Discriminator,
    MatchingDiscriminator,
    RecurrentDiscriminator,
)
from captioning.text import END
from tests.support.builders import (
    DISCRIMINATORS,
    OWNERS,
    ROWS,
    as_mixtures,
    check_gradient,
    make_captions,
    make_discriminator,
    make_features,
)

each_discriminator = pytest.mark.parametrize("kind", DISCRIMINATORS)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """All is computed in doubles: what differs by more than rounding differs."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@each_discriminator
def test_a_whole_batch_is_judged_as_each_caption_alone_with_its_image(
    kind: type[Discriminator],
) -> None:
    discriminator, features, captions = make_discriminator(kind), make_features(), make_captions()
    together = captions.unpack(discriminator(features, captions))
    alone = [
        discriminator(features[owner][None], make_captions([row], [0]))
        for row, owner in zip(ROWS, OWNERS, strict=True)
    ]
    alone.sort(key=len, reverse=True)
    assert_close(together, nn.utils.rnn.pad_sequence(alone, batch_first=True))


@each_discriminator
def test_columns_of_padding_change_nothing(kind: type[Discriminator]) -> None:
    discriminator, features = make_discriminator(kind), make_features()
    tight, wide = make_captions(), make_captions(columns=2)
    expected = discriminator(features, tight)
    assert_close(discriminator(features, wide), expected)
    noise = wide._replace(tokens=torch.where(wide.mask.t(), wide.tokens, 7))
    assert_close(discriminator(features, noise), expected)


@each_discriminator
def test_a_prefix_is_judged_by_its_own_words_alone(kind: type[Discriminator]) -> None:
    discriminator, features, captions = make_discriminator(kind), make_features(), make_captions()
    expected = discriminator(features, captions)
    for t in range(captions.tokens.shape[1]):
        tokens = captions.tokens.clone()
        tokens[0, t] = 9
        changed = discriminator(features, captions._replace(tokens=tokens)) != expected
        assert captions.unpack(changed)[0].tolist() == [False] * t + [True] * (5 - t)
        assert not captions.unpack(changed)[1:].any()


@each_discriminator
def test_a_caption_is_judged_with_its_own_image(kind: type[Discriminator]) -> None:
    discriminator, features, captions = make_discriminator(kind), make_features(), make_captions()
    expected = discriminator(features, captions)
    for image in range(3):
        other = features.clone()
        other[image] += 1
        changed = captions.unpack(discriminator(other, captions) != expected)
        assert torch.equal(changed, captions.mask.t() & (captions.image_index == image)[:, None])


def recurrent(discriminator: Discriminator, image: Tensor, words: Tensor) -> Tensor:
    """The image is there with every word; every output is judged."""
    seen = discriminator.get_submodule("image")(image.mean(0))
    outputs, _ = discriminator.get_submodule("lstm")(words + seen)
    return discriminator.get_submodule("verdict")(outputs).squeeze(1)


def matching(discriminator: Discriminator, image: Tensor, words: Tensor) -> Tensor:
    """The image meets the caption at the end only."""
    outputs, _ = discriminator.get_submodule("lstm")(words)
    return outputs @ discriminator.get_submodule("image")(image.mean(0))


@pytest.mark.parametrize(
    ("kind", "reference"),
    [(RecurrentDiscriminator, recurrent), (MatchingDiscriminator, matching)],
    ids=["recurrent", "matching"],
)
def test_the_image_is_seen_where_it_is_said(
    kind: type[Discriminator], reference: Callable[[Discriminator, Tensor, Tensor], Tensor]
) -> None:
    discriminator, features = make_discriminator(kind), make_features()
    captions = make_captions([[4, 5, 6, END]], [1])
    words = discriminator.get_submodule("embedding")(captions.tokens[0])
    expected = reference(discriminator, features[1], words)
    assert_close(discriminator(features, captions), expected)


@each_discriminator
def test_words_as_mixtures_of_themselves_are_judged_alike(kind: type[Discriminator]) -> None:
    discriminator, features, captions = make_discriminator(kind), make_features(), make_captions()
    expected = discriminator(features, captions)
    assert_close(discriminator(features, captions, as_mixtures(captions)), expected)
    halves = (as_mixtures(captions) + 1 / 10) / 2
    blank = captions._replace(tokens=captions.tokens.clamp(max=1))
    assert_close(discriminator(features, blank, halves), discriminator(features, captions, halves))
    assert (discriminator(features, captions, halves) - expected).abs().max() > 1e-3


@each_discriminator
def test_the_gradient_reaches_every_mixture_of_the_prefix_judged(
    kind: type[Discriminator],
) -> None:
    discriminator, features, captions = make_discriminator(kind), make_features(), make_captions()
    mixtures = as_mixtures(captions).requires_grad_()
    logits = captions.unpack(discriminator(features, captions, mixtures))
    for t in range(5):
        (gradient,) = torch.autograd.grad(logits[0, t], mixtures, retain_graph=True)
        reached = captions.unpack((gradient != 0).any(1))
        assert reached[0].tolist() == [True] * (t + 1) + [False] * (4 - t)
        assert not reached[1:].any()


@each_discriminator
def test_the_gradient_agrees_with_finite_differences(kind: type[Discriminator]) -> None:
    discriminator, captions = make_discriminator(kind), make_captions()
    features, mixtures = make_features().requires_grad_(), as_mixtures(captions).requires_grad_()
    check_gradient(
        lambda: discriminator(features, captions, mixtures).square().sum(),
        [features, mixtures, *discriminator.parameters()],
    )


@each_discriminator
def test_dropout_acts_in_training_only(kind: type[Discriminator]) -> None:
    discriminator = make_discriminator(kind, dropout=0.5)
    features, captions = make_features(), make_captions()
    torch.manual_seed(0)
    one, other = (discriminator.train()(features, captions) for _ in "12")
    assert not torch.equal(one, other)
    one, other = (discriminator.eval()(features, captions) for _ in "12")
    assert torch.equal(one, other)
    assert_close(one, make_discriminator(kind)(features, captions))


def norms(discriminator: Discriminator) -> list[float]:
    """The spectral norms of all linear maps."""
    return [
        torch.linalg.matrix_norm(layer.weight, 2).item()
        for layer in discriminator.modules()
        if isinstance(layer, nn.Linear)
    ]


@each_discriminator
def test_spectral_norm_bounds_every_linear_map(kind: type[Discriminator]) -> None:
    features, captions = make_features(), make_captions()
    free, bound = (make_discriminator(kind, spectral_norm=choice) for choice in (False, True))
    for _ in range(20):  # each pass in training comes closer to the norm
        bound(features, captions)
    assert len(norms(bound)) == len(norms(free)) >= 1
    assert min(norms(free)) > 1.05
    assert norms(bound) == pytest.approx([1.0] * len(norms(bound)), abs=1e-6)
    assert all(torch.isfinite(weight.grad).all() for weight in trained(bound, features, captions))


def trained(
    discriminator: Discriminator, features: Tensor, captions: Captions
) -> list[nn.Parameter]:
    """The weights that a gradient reaches."""
    discriminator(features, captions).square().sum().backward()
    return [weight for weight in discriminator.parameters() if weight.grad is not None]


@each_discriminator
def test_trained_to_tell_two_laws_apart_it_reaches_their_log_ratio(
    kind: type[Discriminator],
) -> None:
    """Every caption of two out of three words, weighed by laws that depend on the image."""
    torch.manual_seed(0)
    real, generated = torch.randn(2, 2, 9).log_softmax(2)
    rows = [[4 + a, 4 + b] for _ in range(2) for a, b in itertools.product(range(3), repeat=2)]
    captions = make_captions(rows, [0] * 9 + [1] * 9)
    discriminator = kind(7, 2, hidden_size=16, embedding_size=8)
    features = 2 * torch.eye(2)[:, None]
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.1)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        logits = captions.unpack(discriminator(features, captions))
        losses = real.exp().view(18, 1) * functional.softplus(-logits) + generated.exp().view(
            18, 1
        ) * functional.softplus(logits)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
    found = captions.unpack(discriminator(features, captions)).view(2, 3, 3, 2)
    whole = (real - generated).view(2, 3, 3)
    first = real.view(2, 3, 3).logsumexp(2) - generated.view(2, 3, 3).logsumexp(2)
    torch.testing.assert_close(found[..., 1], whole, rtol=0, atol=0.05)
    torch.testing.assert_close(found[..., 0, 0], first, rtol=0, atol=0.05)
