"""Captions as tokens: END at their end, and no caption without a word."""

from pathlib import Path

import pytest

from captioning.data.batching import encode_captions
from captioning.data.dataset import Example
from captioning.errors import InputError
from captioning.text import END, UNKNOWN, Vocabulary
from tests.support.builders import VOCABULARY


def example_of(*captions: str) -> Example:
    return Example("image.jpg", Path("image.jpg"), captions)


def test_a_caption_ends_with_end_unless_it_is_cut_off() -> None:
    examples = [example_of("ant", "ant bee cat"), example_of("ant bee cat dog", "elk " * 200)]
    tokens, longer = encode_captions(examples, VOCABULARY, max_words=3)
    assert tokens == [[[4, END], [4, 5, 6, END]], [[4, 5, 6], [8, 8, 8]]]
    assert longer == 2
    unknown = encode_captions([example_of("zebra yak!")], VOCABULARY, max_words=5)
    assert unknown == ([[[UNKNOWN, UNKNOWN, END]]], 0)


@pytest.mark.parametrize("caption", ["…", "❤️", "-"])
def test_a_caption_without_a_word_is_refused_and_named(caption: str) -> None:
    examples = [example_of("ant"), example_of("bee", caption)]
    with pytest.raises(InputError, match=rf"image.jpg: the caption {caption!r} has no word"):
        encode_captions(examples, VOCABULARY, max_words=5)


def test_a_caption_that_names_a_special_token_keeps_its_length() -> None:
    vocabulary = Vocabulary.build(["the end of a street"], 1)
    tokens, _ = encode_captions([example_of("the <end> of a <pad> street")], vocabulary, 10)
    ((row,),) = tokens
    assert row.index(END) == len(row) - 1
    assert min(row) > 0
