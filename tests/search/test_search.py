"""What every search keeps to, over every decoder."""

import math

import pytest
import torch

from captioning.decoder import Decoder, ShowAndTell, ShowAttendTell
from captioning.errors import InputError
from captioning.search import Beam, Greedy, Hypotheses, Sampling, Search
from captioning.text import BEGIN, END, PAD, UNKNOWN
from tests.search.references import (
    DECODERS,
    SEARCHES,
    assert_same,
    count_rows,
    make_captioner,
    make_features,
    run,
    spoken,
    teacher_forced,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)
each_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.description)


@each_decoder
@each_search
def test_log_probabilities_are_those_of_teacher_forcing(
    search: Search, kind: type[Decoder]
) -> None:
    captioner, features = make_captioner(kind), make_features()
    found = run(search, captioner, features)
    for image, captions in enumerate(found.tokens):
        for place, tokens in enumerate(captions):
            expected = teacher_forced(captioner, features[image], tokens[tokens != PAD]).sum()
            torch.testing.assert_close(found.log_probabilities[image, place], expected)


@pytest.mark.parametrize("search", [s for s in SEARCHES if not isinstance(s, Sampling)])
@each_decoder
def test_a_batch_of_images_is_captioned_as_one_by_one(search: Search, kind: type[Decoder]) -> None:
    captioner, features = make_captioner(kind), make_features(5)
    together = run(search, captioner, features)
    alone = [run(search, captioner, image[None]) for image in features]
    assert len({len(spoken(tokens)) for tokens in together.tokens.flatten(0, 1)}) > 1
    assert_same(together, Hypotheses(*map(torch.cat, zip(*alone, strict=True))))


@each_search
def test_a_caption_is_words_then_end_then_padding_and_finished_says_whether_it_ended(
    search: Search,
) -> None:
    found = run(search, make_captioner(), make_features(8))
    assert found.tokens.shape == (8, found.scores.shape[1], 6)
    for tokens, finished in zip(
        found.tokens.flatten(0, 1).tolist(), found.finished.flatten().tolist(), strict=True
    ):
        said = tokens[: tokens.index(END)] if END in tokens else tokens
        assert all(token > END for token in said)
        assert tokens[len(said) :] == [END, *[PAD] * (5 - len(said))][: 6 - len(said)]
        assert finished == (END in tokens)


@each_search
@each_decoder
def test_a_decoder_that_never_ends_gives_captions_that_are_not_finished(
    search: Search, kind: type[Decoder]
) -> None:
    found = run(search, make_captioner(kind, end_bias=-math.inf), make_features())
    assert not found.finished.any()
    assert (found.tokens > END).all()


@each_search
@each_decoder
def test_a_decoder_that_ends_at_once_gives_an_empty_caption_in_one_step(
    search: Search, kind: type[Decoder]
) -> None:
    captioner = make_captioner(kind, end_bias=1e4)
    rows = count_rows(captioner)
    search = Beam(search.size, steps=6) if isinstance(search, Beam) else search
    found = run(search, captioner, make_features())
    assert found.tokens[:, 0].tolist() == [[END, PAD, PAD, PAD, PAD, PAD]] * 3
    assert found.finished[:, 0].all()
    assert found.log_probabilities[:, 0].tolist() == [0.0] * 3
    assert len(rows) == 1


@each_search
def test_special_tokens_are_never_said_and_have_no_part_in_q(search: Search) -> None:
    captioner, features = make_captioner(), make_features()
    plain = run(search, captioner, features)
    with torch.no_grad():
        captioner.decoder.output.bias[[PAD, BEGIN, UNKNOWN]] = 50.0
    found = run(search, captioner, features)
    for tokens, finished in zip(found.tokens.flatten(0, 1), found.finished.flatten(), strict=True):
        assert all(token >= END for token in spoken(tokens))
        assert len(spoken(tokens)) == 6 or finished
    assert_same(found, plain)


@each_search
def test_an_ensemble_of_one_captioner_twice_is_that_captioner(search: Search) -> None:
    captioner, features = make_captioner(), make_features()
    generator = torch.Generator().manual_seed(0)
    twice = search([captioner, captioner], [features, features], generator)
    assert_same(twice, run(search, captioner, features))


@each_search
def test_an_ensemble_averages_probabilities_at_every_step(search: Search) -> None:
    captioners = [make_captioner(ShowAndTell, seed=1), make_captioner(ShowAttendTell, seed=2)]
    features = [make_features(seed=1), make_features(seed=2)]
    found = search(captioners, features, torch.Generator().manual_seed(0))
    for image, captions in enumerate(found.tokens):
        for place, tokens in enumerate(captions):
            said = tokens[tokens != PAD]
            first, second = (
                teacher_forced(captioner, seen[image], said).exp()
                for captioner, seen in zip(captioners, features, strict=True)
            )
            expected = ((first + second) / 2).log().sum()
            torch.testing.assert_close(found.log_probabilities[image, place], expected)


def test_an_ensemble_of_different_vocabularies_is_refused() -> None:
    captioners = [make_captioner(), make_captioner(words="a b")]
    with pytest.raises(
        InputError,
        match=r"captioners of one vocabulary.*8 tokens.*another 6.* --loading.minimum_count",
    ):
        Greedy()(captioners, [make_features(), make_features()])


def test_every_captioner_needs_features_of_its_own() -> None:
    with pytest.raises(ValueError, match="got 1 captioners and features for 2"):
        Greedy()([make_captioner()], [make_features(), make_features()])
    with pytest.raises(ValueError, match="got 0 captioners"):
        Greedy()([], [])


@each_search
@each_decoder
def test_no_images_have_no_captions(search: Search, kind: type[Decoder]) -> None:
    found = run(search, make_captioner(kind), make_features(0))
    assert found.tokens.shape[0] == found.scores.shape[0] == found.finished.shape[0] == 0


@each_search
def test_searching_keeps_no_gradient_and_leaves_the_mode_alone(search: Search) -> None:
    captioner = make_captioner().train()
    found = run(search, captioner, make_features())
    assert not found.scores.requires_grad
    assert not found.log_probabilities.requires_grad
    assert captioner.training


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Greedy(0), "at least one token, got steps=0"),
        (lambda: Beam(0), "size of 1 or more, got 0"),
        (lambda: Beam(3, keep=4), "size 3 can keep 1 to 3 captions, got keep=4"),
        (lambda: Beam(3, keep=0), "got keep=0"),
        (lambda: Beam(length_penalty=-1.0), "length_penalty of 0 to 10, got -1.0"),
        (lambda: Beam(length_penalty=math.nan), "length_penalty of 0 to 10, got nan"),
        (lambda: Sampling(0), "samples of 1 or more, got 0"),
        (lambda: Sampling(temperature=0.0), "temperature above 0, got 0.0"),
        (lambda: Sampling(temperature=math.nan), "temperature above 0, got nan"),
        (lambda: Sampling(top_k=0), "top_k of 1 or more, or null, got 0"),
        (lambda: Sampling(top_p=0.0), "0 < top_p <= 1, or null, got 0.0"),
        (lambda: Sampling(top_p=1.1), "0 < top_p <= 1, or null, got 1.1"),
    ],
)
def test_settings_out_of_range_are_refused(make: type[Search], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("search", "description"),
    [
        (Greedy(), "greedy"),
        (Beam(), "beam 5"),
        (Beam(3, 0.7, block_trigrams=True), "beam 3 length-penalty=0.7 no-repeated-trigrams"),
        (Sampling(), "sampling t=1"),
        (Sampling(temperature=0.8, top_k=10, top_p=0.9), "sampling t=0.8 top-k=10 top-p=0.9"),
        (Sampling(5), "sampling t=1 samples=5"),
        (Greedy(20), "greedy steps=20"),
        (Beam(2, 0.5, steps=30), "beam 2 length-penalty=0.5 steps=30"),
        (Sampling(steps=3), "sampling t=1 steps=3"),
    ],
)
def test_a_search_describes_itself(search: Search, description: str) -> None:
    assert search.description == description
