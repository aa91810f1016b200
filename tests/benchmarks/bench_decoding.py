"""How fast captions are decoded, against the plain way and against the matrix products alone.

    python tests/benchmarks/bench_decoding.py

One thread, CPU seconds, the fastest of several passes. Vocabulary 9,487, LSTM 512, embedding 512,
features of 2,048 numbers, at most 16 tokens: at first no caption ends before that, then they end
after about 9, as those of COCO do. The plain way is that of open code: greedy in small batches, the
beam search image by image, at each step a log_softmax and, in a beam, a sort of the whole
vocabulary. It says the same, and stops as soon as it may (open code often runs to the last step).
The floor is the time of the matrix products of as many rows as ours ran at each step.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from captioning.captioner import Captioner
from captioning.decoder import Decoder, ShowAndTell, State
from captioning.encoder import SmallCnn
from captioning.search import Beam, Greedy, Search
from captioning.search.sampling import draw
from captioning.text import BEGIN, END, PAD, SPECIAL, Vocabulary

VOCABULARY, HIDDEN, FEATURES, STEPS = 9487, 512, 2048, 16
Plain: TypeAlias = dict[str, Callable[[], Tensor]]


def untrained_captioner() -> Captioner:
    """A captioner that ends its captions all the same."""
    words = (f"word{i}" for i in range(VOCABULARY - len(SPECIAL)))
    decoder = ShowAndTell(VOCABULARY, FEATURES, HIDDEN, HIDDEN)
    teach_to_count(decoder)
    encoder = SmallCnn(channels=FEATURES, image_size=8)
    return Captioner(encoder, decoder, Vocabulary.build(words, minimum_count=1)).eval()


def teach_to_count(decoder: ShowAndTell) -> None:
    """Let a cell start where the image says and grow by 0.1 a token; at 1, END is likely."""
    lstm = decoder.lstm
    input_gate, forget_gate, candidate, output_gate = range(0, 4 * HIDDEN, HIDDEN)
    with torch.no_grad():
        for gate in (input_gate, forget_gate, candidate, output_gate):
            lstm.weight_ih_l0[gate] = 0
            lstm.weight_hh_l0[gate] = 0
            lstm.bias_ih_l0[gate] = 20
            lstm.bias_hh_l0[gate] = 0
        lstm.weight_ih_l0[candidate].normal_(std=0.4 / HIDDEN**0.5)
        lstm.bias_ih_l0[candidate] = 0.1
        decoder.output.weight[END] = 0
        decoder.output.weight[END, 0] = 400
        decoder.output.bias[END] = -400 * torch.tanh(torch.tensor(1.0))


def plain_greedy(decoder: Decoder, features: Tensor, batch: int) -> Tensor:
    """Batches of images, each until its last caption has ended."""
    captions = torch.full((len(features), STEPS), PAD)
    for start in range(0, len(features), batch):
        images = features[start : start + batch]
        state = decoder.begin(images, torch.arange(len(images)))
        words = torch.full((len(images),), BEGIN)
        unfinished = torch.ones(len(images), dtype=torch.bool)
        for t in range(STEPS):
            outputs, state = decoder.step(words, state)
            _, words = decoder.logits(outputs).log_softmax(1).max(1)
            captions[start : start + batch, t] = words * unfinished
            unfinished &= words != END
            if not unfinished.any():
                break
    return captions


def plain_beam(decoder: Decoder, features: Tensor, size: int) -> Tensor:
    """Image by image."""
    captions = torch.full((len(features), STEPS), PAD)
    for image in range(len(features)):
        state = decoder.begin(features[image : image + 1], torch.zeros(size, dtype=torch.long))
        caption = plain_beam_of_one(decoder, state, size)
        captions[image, : len(caption)] = torch.tensor(caption)
    return captions


def plain_beam_of_one(decoder: Decoder, state: State, size: int) -> list[int]:
    """The best caption that ended, or else the best of all."""
    sums = torch.zeros(size)
    words = torch.full((size,), BEGIN)
    beams: list[list[int]] = [[] for _ in range(size)]
    ended: list[tuple[float, list[int]]] = []
    for t in range(STEPS):
        outputs, state = decoder.step(words, state)
        candidates = sums[:, None] + decoder.logits(outputs).log_softmax(1)
        if t == 0:
            candidates = candidates[:1]
        ordered, places = candidates.flatten().sort(descending=True)
        parents, words = places[:size] // VOCABULARY, places[:size] % VOCABULARY
        sums = ordered[:size].clone()
        state = state.reorder(parents)
        beams = [
            [*beams[parent], word]
            for parent, word in zip(parents.tolist(), words.tolist(), strict=True)
        ]
        for place in range(size):
            if words[place] == END:
                ended.append((sums[place].item(), beams[place]))
                sums[place] = -1000
        if ended and max(ended)[0] >= sums.max():
            return max(ended)[1]
    return max(ended)[1] if ended else beams[int(sums.argmax())]


def rows_stepped(search: Search, captioner: Captioner, features: Tensor) -> list[int]:
    """How many captions the search ran at each step."""
    rows: list[int] = []
    hook = captioner.decoder.output.register_forward_hook(
        lambda module, inputs, logits: rows.append(len(logits))
    )
    search([captioner], [features])
    hook.remove()
    return rows


def matrix_products(images: int, rows: list[int]) -> Callable[[], None]:
    """The products without which no such decoding can be: image, LSTM, vocabulary."""
    most = max(images, *rows)
    image, hidden = torch.randn(most, FEATURES), torch.randn(most, HIDDEN)
    embed, output = torch.randn(FEATURES, HIDDEN), torch.randn(HIDDEN, VOCABULARY)
    gates = torch.randn(2 * HIDDEN, 4 * HIDDEN)
    inputs = torch.randn(most, 2 * HIDDEN)
    embedded = torch.empty(most, HIDDEN)
    sums, logits = torch.empty(most, 4 * HIDDEN), torch.empty(most, VOCABULARY)

    def multiply() -> None:
        torch.mm(image[:images], embed, out=embedded[:images])
        torch.mm(inputs[:images], gates, out=sums[:images])
        for count in rows:
            torch.mm(inputs[:count], gates, out=sums[:count])
            torch.mm(hidden[:count], output, out=logits[:count])

    return multiply


def seconds(work: Callable[[], object], passes: int) -> float:
    """CPU seconds of the fastest of several passes."""
    best = float("inf")
    for _ in range(passes):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def measure(
    name: str, search: Search, captioner: Captioner, features: Tensor, plain: Plain
) -> None:
    """Print one line for ours and one for each plain way, after checking that they say the same."""
    ours = search([captioner], [features])
    rows = rows_stepped(search, captioner, features)
    length = (ours.tokens != PAD).sum(2).float().mean()
    floor = seconds(matrix_products(len(features), rows), 3)
    ours_seconds = seconds(lambda: search([captioner], [features]), 3)
    print(f"{name}, {len(features)} images, {length:.1f} tokens each, {sum(rows)} rows stepped")
    print(f"  matrix products {floor:6.2f} s")
    print(f"  ours            {ours_seconds:6.2f} s   {ours_seconds / floor:5.2f} × the products")
    for how, decode in plain.items():
        same = (decode() == ours.tokens[:, 0]).all(1).float().mean()
        plain_seconds = seconds(decode, 2)
        print(
            f"  {how:15} {plain_seconds:6.2f} s   {plain_seconds / ours_seconds:5.2f} × ours"
            f"   ({same:.0%} of the captions the same)"
        )


def measure_choices(rows: int = 500) -> None:
    """Print what it costs to normalise the scores of one step and to choose among them."""
    scores = torch.randn(rows, VOCABULARY)
    probabilities, noise = scores.softmax(1), torch.empty_like(scores)
    ways: dict[str, Callable[[], object]] = {
        "log_softmax": lambda: scores.log_softmax(1),
        "logsumexp": lambda: scores.logsumexp(1),
        "the 5 best": lambda: scores.topk(5),
        "a draw": lambda: draw(scores),
        "a draw by exponential races": lambda: (scores - noise.exponential_().log_()).argmax(1),
        "a draw by torch.multinomial": lambda: torch.multinomial(probabilities, 1),
    }
    print(f"one step of {rows} rows")
    for name, way in ways.items():
        print(f"  {name:28} {1000 * seconds(way, 20):6.1f} ms")


def main() -> None:
    """Decode 500 images greedily, and 100 with a beam of 5."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    captioner = untrained_captioner()
    decoder = captioner.decoder
    features = torch.randn(500, 1, FEATURES)
    few = features[:100]
    greedy: Plain = {
        f"batches of {batch}": partial(plain_greedy, decoder, features, batch) for batch in (50, 10)
    }
    beam: Plain = {"image by image": partial(plain_beam, decoder, few, 5)}
    bias = decoder.output.bias[END].item()
    measure_choices()
    with torch.no_grad():
        for end_bias in (-1e9, bias):
            decoder.output.bias[END] = end_bias
            measure("greedy", Greedy(STEPS), captioner, features, greedy)
            measure("beam 5", Beam(5, steps=STEPS), captioner, few, beam)


if __name__ == "__main__":
    main()
