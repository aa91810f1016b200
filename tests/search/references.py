"""What searches are tested against: captioners of a few words, enumeration, plain Python."""

import math

import torch
from torch import Tensor

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.decoder import Decoder, Lrcn, ShowAndTell, ShowAttendTell
from captioning.encoder import SmallCnn
from captioning.search import Beam, Greedy, Hypotheses, Sampling, Search
from captioning.text import END, PAD, Vocabulary

DECODERS: tuple[type[Decoder], ...] = (ShowAndTell, Lrcn, ShowAttendTell)
SEARCHES: tuple[Search, ...] = (
    Greedy(6),
    Sampling(samples=4, temperature=0.8, top_k=3, top_p=0.9, steps=6),
    Beam(size=1, steps=6),
    Beam(size=4, keep=3, steps=6),
    Beam(size=4, keep=4, length_penalty=1.0, block_trigrams=True, steps=6),
)


def make_captioner(
    kind: type[Decoder] = Lrcn, words: str = "a b c d", end_bias: float = 1.0, seed: int = 1
) -> Captioner:
    """Its weights are so large that every step has its favourites; captions end early or late."""
    vocabulary = Vocabulary.build([words], minimum_count=1)
    encoder = SmallCnn(channels=8, image_size=16, features="grid")
    more = {"attention_size": 8} if kind is ShowAttendTell else {}
    decoder = kind(len(vocabulary), encoder.feature_size, 16, 16, **more)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in decoder.parameters():
            weights.normal_(generator=generator)
        decoder.output.bias[END] = end_bias
    return Captioner(encoder, decoder, vocabulary).eval()


def make_features(images: int = 3, seed: int = 0) -> Tensor:
    return 2 * torch.randn(images, 4, 8, generator=torch.Generator().manual_seed(seed))


def run(search: Search, captioner: Captioner, features: Tensor, seed: int = 0) -> Hypotheses:
    return search([captioner], [features], torch.Generator().manual_seed(seed))


def teacher_forced(captioner: Captioner, features: Tensor, tokens: Tensor) -> Tensor:
    """log Q of every token of one caption of one image."""
    captions = Captions.from_generated(tokens[None], torch.tensor([0]))
    with torch.no_grad():
        outputs = captioner(features[None], captions)
        every = captioner.decoder.logits(outputs)[:, END:].log_softmax(1)
    return every.gather(1, captions.targets[:, None] - END).squeeze(1)


def following(captioner: Captioner, features: Tensor, said: tuple[int, ...]) -> list[float]:
    """log Q(token | said) for every token, by decoding from the start."""
    tokens = torch.tensor([[*said, END]])
    with torch.no_grad():
        outputs = captioner(features[None], Captions.from_generated(tokens, torch.tensor([0])))
        every: list[float] = captioner.decoder.logits(outputs[-1])[END:].log_softmax(0).tolist()
    return [-math.inf] * END + every


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
                (captions if cut else longer)[(*said, token)] = total + every[token]
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


def count_rows(captioner: Captioner) -> list[int]:
    """Filled, as the captioner decodes, with how many captions run at each step."""
    rows: list[int] = []
    plain = captioner.decoder.log_probabilities

    def counted(outputs: Tensor) -> Tensor:
        rows.append(len(outputs))
        return plain(outputs)

    captioner.decoder.log_probabilities = counted
    return rows
