"""Searches: against enumeration, against plain Python, and at their limits."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from captioning.attention import ShowAttendTell
from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.decoder import Decoder, Lrcn, ShowAndTell
from captioning.encoder import SmallCnn
from captioning.errors import InputError
from captioning.search import Beam, Greedy, Hypotheses, Sampling, Search
from captioning.search.beam import length_penalty, without_repeated_trigrams
from captioning.search.sampling import draw, likeliest
from captioning.text import BEGIN, END, PAD, UNKNOWN, Vocabulary

DECODERS: list[type[Decoder]] = [ShowAndTell, Lrcn, ShowAttendTell]
SEARCHES: list[Search] = [
    Greedy(6),
    Sampling(samples=4, temperature=0.8, top_k=3, top_p=0.9, steps=6),
    Beam(size=1, steps=6),
    Beam(size=4, keep=3, steps=6),
    Beam(size=4, keep=4, length_penalty=1.0, block_trigrams=True, steps=6),
]
WORDS = ["a", "b", "c", "d"]


def make_captioner(
    kind: type[Decoder] = Lrcn, seed: int = 0, words: list[str] = WORDS, end_bias: float = 0.0
) -> Captioner:
    """Weights large enough that every step has its favourites."""
    vocabulary = Vocabulary.build(words, minimum_count=1)
    encoder = SmallCnn(channels=8, image_size=16, features="grid")
    torch.manual_seed(seed)
    decoder = kind(len(vocabulary), encoder.feature_size, 6, 6)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        decoder.output.bias[END] = end_bias
    return Captioner(encoder, decoder, vocabulary).eval()


def make_features(images: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(images, 4, 8, generator=torch.Generator().manual_seed(seed))


def run(search: Search, captioner: Captioner, features: Tensor, seed: int = 0) -> Hypotheses:
    return search([captioner], [features], torch.Generator().manual_seed(seed))


def teacher_forced(captioner: Captioner, features: Tensor, tokens: Tensor) -> Tensor:
    """log Q of every token of one caption of one image."""
    captions = Captions.from_generated(tokens[None], torch.tensor([0]))
    with torch.no_grad():
        outputs = captioner(features[None], captions)
        every = captioner.decoder.logits(outputs).log_softmax(1)
    return every.gather(1, captions.targets[:, None]).squeeze(1)


def following(captioner: Captioner, features: Tensor, said: tuple[int, ...]) -> list[float]:
    """log Q(token | said) for every token, by decoding from the start."""
    tokens = torch.tensor([[*said, END]])
    with torch.no_grad():
        outputs = captioner(features[None], Captions.from_generated(tokens, torch.tensor([0])))
        every: list[float] = captioner.decoder.logits(outputs[-1]).log_softmax(0).tolist()
    return every


def all_captions(
    captioner: Captioner, features: Tensor, steps: int
) -> dict[tuple[int, ...], float]:
    """log Q of every caption that can be said, finished or cut off."""
    captions: dict[tuple[int, ...], float] = {}
    begun = {(): 0.0}
    for step in range(steps):
        longer = {}
        for said, total in begun.items():
            every = following(captioner, features, said)
            for token in range(END, len(every)):
                cut = token == END or step == steps - 1
                (captions if cut else longer)[*said, token] = total + every[token]
        begun = longer
    return captions


def penalised(tokens: tuple[int, ...], log_probability: float, alpha: float) -> float:
    return log_probability / ((5 + len(tokens)) / 6) ** alpha


def plain_beam(
    captioner: Captioner, features: Tensor, search: Beam
) -> list[tuple[tuple[int, ...], float]]:
    """The definition, for one image, always to the last step."""
    beams = [((), 0.0)]
    for _ in range(search.steps):
        candidates = []
        for said, total in beams:
            if END in said:
                candidates.append((said, total))
                continue
            every = following(captioner, features, said)
            for token in range(END, len(every)):
                trigrams = list(zip(said, said[1:], said[2:], strict=False))
                if search.block_trigrams and (*said[-2:], token) in trigrams:
                    continue
                candidates.append(((*said, token), total + every[token]))
        candidates.sort(key=lambda beam: -penalised(*beam, search.length_penalty))
        beams = candidates[: search.size]
    beams.sort(key=lambda beam: END not in beam[0])
    return beams[: search.keep]


def spoken(tokens: Tensor) -> tuple[int, ...]:
    return tuple(token for token in tokens.tolist() if token != PAD)


def assert_same(left: Hypotheses, right: Hypotheses) -> None:
    assert left.tokens.tolist() == right.tokens.tolist()
    assert left.finished.tolist() == right.finished.tolist()
    torch.testing.assert_close(left.scores, right.scores)
    torch.testing.assert_close(left.log_probabilities, right.log_probabilities)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_wider_than_all_prefixes_ranks_every_caption_there_is(
    kind: type[Decoder], alpha: float
) -> None:
    captioner, features = make_captioner(kind, words=["a", "b"]), make_features()
    found = run(Beam(27, alpha, keep=15, steps=3), captioner, features)
    for image in range(3):
        every = all_captions(captioner, features[image], 3)
        ranked = sorted(
            every.items(), key=lambda beam: (END not in beam[0], -penalised(*beam, alpha))
        )
        assert len(ranked) == 15  # 7 finished, 8 cut off
        assert [spoken(tokens) for tokens in found.tokens[image]] == [said for said, _ in ranked]
        torch.testing.assert_close(
            found.log_probabilities[image], torch.tensor([total for _, total in ranked])
        )
        torch.testing.assert_close(
            found.scores[image], torch.tensor([penalised(*beam, alpha) for beam in ranked])
        )
        assert found.finished[image].tolist() == [True] * 7 + [False] * 8


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "search",
    [
        Beam(3, steps=7),
        Beam(4, keep=3, steps=7),
        Beam(3, length_penalty=2.0, keep=2, steps=7),
        Beam(3, block_trigrams=True, steps=9),
    ],
)
def test_a_beam_that_stops_early_finds_what_plain_python_finds_by_going_on(
    search: Beam, seed: int
) -> None:
    captioner = make_captioner(seed=seed, words=["a", "b"], end_bias=-2.0)
    features = make_features(seed=seed)
    found = run(search, captioner, features)
    for image in range(3):
        expected = plain_beam(captioner, features[image], search)
        assert [spoken(tokens) for tokens in found.tokens[image]] == [said for said, _ in expected]


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("search", SEARCHES)
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
@pytest.mark.parametrize("kind", DECODERS)
def test_a_batch_of_images_is_captioned_as_one_by_one(search: Search, kind: type[Decoder]) -> None:
    captioner, features = make_captioner(kind, end_bias=-1.0), make_features(5)
    together = run(search, captioner, features)
    alone = [run(search, captioner, image[None]) for image in features]
    assert len({len(spoken(tokens)) for tokens in together.tokens.flatten(0, 1)}) > 1
    assert_same(together, Hypotheses(*map(torch.cat, zip(*alone, strict=True))))


@pytest.mark.parametrize("search", SEARCHES)
def test_a_caption_is_words_then_end_then_padding_and_finished_says_whether_it_ended(
    search: Search,
) -> None:
    found = run(search, make_captioner(end_bias=-1.0), make_features(8))
    assert found.tokens.shape == (8, found.scores.shape[1], 6)
    for tokens, finished in zip(
        found.tokens.flatten(0, 1).tolist(), found.finished.flatten().tolist(), strict=True
    ):
        said = tokens[: tokens.index(END)] if END in tokens else tokens
        assert all(token > END for token in said)
        assert tokens[len(said) :] == [END, *[PAD] * (5 - len(said))][: 6 - len(said)]
        assert finished == (END in tokens)


@pytest.mark.parametrize("kind", DECODERS)
def test_greedy_says_the_likeliest_token_at_every_step(kind: type[Decoder]) -> None:
    captioner, features = make_captioner(kind), make_features()
    found = run(Greedy(6), captioner, features)
    for image in range(3):
        said: tuple[int, ...] = ()
        while len(said) < 6 and END not in said:
            every = following(captioner, features[image], said)
            said = (*said, max(range(END, len(every)), key=every.__getitem__))
        assert spoken(found.tokens[image, 0]) == said


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_one_is_greedy(kind: type[Decoder], seed: int) -> None:
    captioner, features = make_captioner(kind, seed, end_bias=-1.0), make_features(8, seed)
    greedy = run(Greedy(6), captioner, features)
    assert_same(run(Beam(1, steps=6), captioner, features), greedy)
    penalised_beam = run(Beam(1, length_penalty=2.0, steps=6), captioner, features)
    assert penalised_beam.tokens.tolist() == greedy.tokens.tolist()


def test_sampling_hardly_above_temperature_zero_is_greedy() -> None:
    captioner, features = make_captioner(), make_features(8)
    found = run(Sampling(temperature=1e-5, steps=6), captioner, features)
    assert_same(found, run(Greedy(6), captioner, features))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_come_as_often_as_their_probability_says(temperature: float) -> None:
    captioner, features = make_captioner(words=["a", "b"]), make_features(2)
    draws = 20_000
    found = run(Sampling(draws, temperature, steps=3), captioner, features)
    for image in range(2):
        counts = dict.fromkeys(all_captions(captioner, features[image], 3), 0)
        for tokens in found.tokens[image]:
            counts[spoken(tokens)] += 1
        for said, count in counts.items():
            probability = math.prod(
                share_of(following(captioner, features[image], said[:t]), said[t], temperature)
                for t in range(len(said))
            )
            deviation = math.sqrt(draws * probability * (1 - probability))
            assert abs(count - draws * probability) < 4.5 * deviation + 1


def share_of(every: list[float], token: int, temperature: float) -> float:
    """The chance of a token among those that may be said."""
    weights = [math.exp(every[other] / temperature) for other in range(END, len(every))]
    return weights[token - END] / sum(weights)


def test_a_draw_follows_the_probabilities_and_never_takes_the_impossible() -> None:
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    logits = probabilities.log().expand(10_000, 6)
    counts = draw(logits, torch.Generator().manual_seed(0)).bincount(minlength=6)
    assert counts[probabilities == 0].tolist() == [0, 0, 0]
    torch.testing.assert_close(counts / 10_000, probabilities, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("top_k", "top_p", "support"),
    [
        (None, None, [2, 0, 3, 1]),
        (2, None, [2, 0]),
        (9, None, [2, 0, 3, 1]),
        (None, 0.79, [2, 0]),
        (None, 0.81, [2, 0, 3]),
        (None, 0.01, [2]),
        (None, 1.0, [2, 0, 3, 1]),
        # Among the three largest, .5 is .526 and .3 is .316 of the probability.
        (3, 0.83, [2, 0]),
        (3, 0.85, [2, 0, 3]),
        (1, 0.5, [2]),
    ],
)
def test_top_k_and_top_p_keep_the_likeliest(
    top_k: int | None, top_p: float | None, support: list[int]
) -> None:
    logits = torch.tensor([[0.3, 0.05, 0.5, 0.15]]).log()
    values, places = likeliest(logits, top_k, top_p)
    assert places[values.isfinite()].tolist() == support
    torch.testing.assert_close(values[values.isfinite()], logits[0, support])


def test_sampling_draws_all_of_the_top_k_and_nothing_else() -> None:
    captioner, features = make_captioner(), make_features(1)
    found = run(Sampling(2_000, temperature=5.0, top_k=2, steps=1), captioner, features)
    every = torch.tensor(following(captioner, features[0], ())[END:])
    assert set(found.tokens.flatten().tolist()) == set((every.topk(2).indices + END).tolist())


def test_the_same_seed_draws_the_same_captions_and_another_seed_others() -> None:
    captioner, features = make_captioner(), make_features()
    search = Sampling(samples=20, steps=6)
    first = run(search, captioner, features, seed=1)
    assert_same(first, run(search, captioner, features, seed=1))
    assert first.tokens.tolist() != run(search, captioner, features, seed=2).tokens.tolist()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_that_never_ends_gives_captions_that_are_not_finished(
    search: Search, kind: type[Decoder]
) -> None:
    found = run(search, make_captioner(kind, end_bias=-math.inf), make_features())
    assert not found.finished.any()
    assert (found.tokens > END).all()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("kind", DECODERS)
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


def count_rows(captioner: Captioner) -> list[int]:
    """Filled, as the captioner decodes, with how many captions run at each step."""
    rows: list[int] = []
    captioner.decoder.output.register_forward_hook(
        lambda module, inputs, logits: rows.append(len(logits))
    )
    return rows


def test_captions_that_have_ended_cost_nothing_more() -> None:
    captioner = make_captioner(end_bias=-1.0)
    rows = count_rows(captioner)
    found = run(Greedy(6), captioner, make_features(8))
    lengths = (found.tokens != PAD).sum(2).flatten().tolist()
    assert len(set(lengths)) > 2
    assert sum(rows) == sum(lengths)


def test_a_finished_caption_comes_before_a_likelier_one_that_was_cut_off() -> None:
    captioner, features = make_captioner(words=["a", "b"], end_bias=-4.0), make_features()
    found = run(Beam(27, keep=27, steps=3), captioner, features)
    for finished, log_probabilities in zip(found.finished, found.log_probabilities, strict=True):
        count = int(finished.sum())
        assert finished.tolist() == [True] * count + [False] * (27 - count)
        assert log_probabilities[count] > log_probabilities[0]


def test_a_beam_wider_than_the_vocabulary_pads_where_there_are_no_more_captions() -> None:
    captioner, features = make_captioner(words=["a"]), make_features()
    found = run(Beam(50, keep=50, steps=2), captioner, features)
    expected = {(END,), (END + 1, END), (END + 1, END + 1)}
    for image in range(3):
        assert {spoken(tokens) for tokens in found.tokens[image, :3]} == expected
        assert found.finished[image, :3].tolist() == [True, True, False]
    assert (found.tokens[:, 3:] == PAD).all()
    assert (found.scores[:, 3:] == -math.inf).all()
    assert not found.finished[:, 3:].any()


@pytest.mark.parametrize("search", SEARCHES)
def test_special_tokens_are_never_said_and_their_probability_is_not_handed_on(
    search: Search,
) -> None:
    captioner, features = make_captioner(), make_features()
    with torch.no_grad():
        captioner.decoder.output.bias[[PAD, BEGIN, UNKNOWN]] = 50.0
    found = run(search, captioner, features)
    for tokens, finished in zip(found.tokens.flatten(0, 1), found.finished.flatten(), strict=True):
        assert all(token >= END for token in spoken(tokens))
        assert len(spoken(tokens)) == 6 or finished
    assert (found.log_probabilities < -20).all()


def test_trigram_blocking_lets_no_three_tokens_come_twice() -> None:
    captioner, features = make_captioner(words=["a", "b"], end_bias=-8.0), make_features(6)
    free = run(Beam(3, keep=3, steps=10), captioner, features)
    blocked = run(Beam(3, keep=3, block_trigrams=True, steps=10), captioner, features)
    assert any(repeats(spoken(tokens)) for tokens in free.tokens.flatten(0, 1))
    assert not any(repeats(spoken(tokens)) for tokens in blocked.tokens.flatten(0, 1))


def repeats(said: tuple[int, ...]) -> bool:
    trigrams = list(zip(said, said[1:], said[2:], strict=False))
    return len(set(trigrams)) < len(trigrams)


def test_blocked_tokens_are_those_that_would_complete_a_trigram_again() -> None:
    scores = torch.zeros(3, 9)
    said = torch.tensor([[4, 5, 6, 4, 5], [4, 4, 4, 4, 4], [4, 5, 6, 7, 8]])
    blocked = without_repeated_trigrams(scores, said).isinf()
    assert blocked.nonzero().tolist() == [[0, 6], [1, 4]]
    assert not scores.isinf().any()
    for few in range(3):
        assert not without_repeated_trigrams(scores, said[:, :few]).isinf().any()


def test_the_length_penalty_is_that_of_wu_et_al() -> None:
    assert length_penalty(torch.tensor([1, 7, 19]), 0.5).tolist() == pytest.approx(
        [1.0, math.sqrt(2), 2.0]
    )
    assert length_penalty(torch.tensor([1, 7, 19]), 0.0).tolist() == [1.0, 1.0, 1.0]


def test_a_length_penalty_makes_captions_longer() -> None:
    captioner, features = make_captioner(), make_features(20)
    short, long = (
        (run(Beam(5, alpha, steps=8), captioner, features).tokens != PAD).sum()
        for alpha in (0.0, 3.0)
    )
    assert long > short


@pytest.mark.parametrize("search", SEARCHES)
def test_an_ensemble_of_one_captioner_twice_is_that_captioner(search: Search) -> None:
    captioner, features = make_captioner(), make_features()
    generator = torch.Generator().manual_seed(0)
    twice = search([captioner, captioner], [features, features], generator)
    assert_same(twice, run(search, captioner, features))


@pytest.mark.parametrize("search", SEARCHES)
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
    captioners = [make_captioner(), make_captioner(words=["a", "b"])]
    with pytest.raises(InputError, match="captioners of one vocabulary.*8 tokens.*another 6"):
        Greedy()(captioners, [make_features(), make_features()])


def test_every_captioner_needs_features_of_its_own() -> None:
    with pytest.raises(ValueError, match="got 1 captioners and features for 2"):
        Greedy()([make_captioner()], [make_features(), make_features()])
    with pytest.raises(ValueError, match="got 0 captioners"):
        Greedy()([], [])


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("kind", DECODERS)
def test_no_images_have_no_captions(search: Search, kind: type[Decoder]) -> None:
    found = run(search, make_captioner(kind), make_features(0))
    assert found.tokens.shape[0] == found.scores.shape[0] == found.finished.shape[0] == 0


@pytest.mark.parametrize("search", SEARCHES)
def test_searching_keeps_no_gradient_and_leaves_the_mode_alone(search: Search) -> None:
    captioner = make_captioner().train()
    found = run(search, captioner, make_features())
    assert not found.scores.requires_grad
    assert not found.log_probabilities.requires_grad
    assert captioner.training


def test_samples_become_captions_of_their_images() -> None:
    captioner, features = make_captioner(end_bias=-1.0), make_features()
    found = run(Sampling(samples=4, steps=6), captioner, features)
    image_index = torch.arange(3).repeat_interleave(4)
    captions = Captions.from_generated(found.tokens.flatten(0, 1), image_index)
    expected = {(image, spoken(tokens)) for image in range(3) for tokens in found.tokens[image]}
    rows = zip(captions.image_index.tolist(), captions.tokens, strict=True)
    assert {(image, spoken(tokens)) for image, tokens in rows} == expected


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
    ],
)
def test_a_search_describes_itself(search: Search, description: str) -> None:
    assert search.description == description
