"""How varied captions are, on sets small enough to count."""

from captioning.metrics import distinct_captions


def test_the_share_of_distinct_captions_counts_each_but_once() -> None:
    assert distinct_captions(["a cat", "a dog", "a cat", "a cat"]) == 0.5
    assert distinct_captions(["a cat"]) == 1.0
