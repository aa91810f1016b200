"""Captions in a batch: the longest first, nothing lost on the way through packing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

from captioning.batch import Captions
from captioning.text import BEGIN, END, PAD
from tests.support.builders import OWNERS, ROWS, make_captions

rows_of_ids = st.lists(
    st.lists(st.integers(min_value=END, max_value=9), min_size=1, max_size=6), min_size=1
)


def test_rows_are_sorted_and_padded() -> None:
    captions = make_captions([[4, END], [5], [6, 7, END], [8, END]], [0, 0, 1, 1])
    assert captions.tokens.tolist() == [
        [6, 7, END],
        [4, END, PAD],
        [8, END, PAD],
        [5, PAD, PAD],
    ]
    assert captions.lengths.tolist() == [3, 2, 2, 1]
    assert captions.image_index.tolist() == [1, 0, 1, 0]
    assert captions.active == [4, 3, 1]


def test_a_teacher_feeds_begin_and_all_tokens_but_the_last() -> None:
    captions = make_captions([[4, 5, END], [6]], [0, 1])
    assert captions.inputs.tolist() == [[BEGIN, 4, 5], [BEGIN, 6, PAD]]
    assert captions.targets.tolist() == [4, 6, 5, END]


@given(rows_of_ids)
def test_packing_has_the_order_of_torch_packed_sequence(rows: list[list[int]]) -> None:
    captions = make_captions(rows, range(len(rows)))
    packed = pack_padded_sequence(captions.tokens, captions.lengths, batch_first=True)
    assert captions.targets.tolist() == packed.data.tolist()
    assert captions.active == packed.batch_sizes.tolist()


@given(rows_of_ids)
def test_every_row_comes_back_with_its_image(rows: list[list[int]]) -> None:
    captions = make_captions(rows, range(len(rows)))
    for tokens, length, image in zip(*captions, strict=True):
        assert tokens[:length].tolist() == rows[image]
        assert set(tokens[length:].tolist()) <= {PAD}


@given(rows_of_ids)
def test_unpacking_undoes_packing(rows: list[list[int]]) -> None:
    captions = make_captions(rows, range(len(rows)))
    values = torch.arange(1.0, captions.tokens.numel() + 1).view_as(captions.tokens)
    packed = captions.pack(values)
    assert torch.equal(captions.unpack(packed), values * captions.mask.t())
    assert torch.equal(captions.pack(captions.unpack(packed)), packed)


def test_packing_ignores_columns_of_padding() -> None:
    tight, wide = make_captions(), make_captions(columns=3)
    assert torch.equal(tight.targets, wide.targets)
    assert wide.active == [*tight.active, 0, 0, 0]


def test_gradients_pass_through_packing_and_unpacking() -> None:
    captions = make_captions()
    values = torch.ones(captions.tokens.shape, requires_grad=True)
    captions.unpack(2 * captions.pack(values)).sum().backward()
    assert torch.equal(values.grad, 2.0 * captions.mask.t())


def test_generated_tokens_count_up_to_the_first_end() -> None:
    tokens = torch.tensor([[4, END, 5, END], [END, END, 4, 4], [6, 7, 8, 9], [5, 6, END, 4]])
    captions = Captions.from_generated(tokens, torch.tensor([0, 0, 1, 1]))
    assert captions.tokens.tolist() == [
        [6, 7, 8, 9],
        [5, 6, END, PAD],
        [4, END, PAD, PAD],
        [END, PAD, PAD, PAD],
    ]
    assert captions.lengths.tolist() == [4, 3, 2, 1]
    assert captions.image_index.tolist() == [1, 1, 0, 0]


def test_generated_captions_are_no_wider_than_the_longest() -> None:
    tokens = torch.tensor([[4, END, 5, 5], [END, 4, 4, 4]])
    captions = Captions.from_generated(tokens, torch.tensor([0, 1]))
    assert captions.tokens.tolist() == [[4, END], [END, PAD]]


def test_generated_captions_of_one_length_keep_their_order() -> None:
    tokens = torch.full((1000, 2), END)
    tokens[::2, 0] = 4
    captions = Captions.from_generated(tokens, torch.arange(1000))
    assert captions.image_index.tolist() == [*range(0, 1000, 2), *range(1, 1000, 2)]


def test_lists_and_generated_tokens_give_the_same_captions() -> None:
    tokens = torch.tensor([[*row, *[END] * (5 - len(row))] for row in ROWS if END in row])
    owners = torch.tensor([owner for row, owner in zip(ROWS, OWNERS, strict=True) if END in row])
    generated = Captions.from_generated(tokens, owners)
    listed = make_captions([row for row in ROWS if END in row], owners.tolist())
    for one, other in zip(generated, listed, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("rows", [[[END]], [[4]], [[4, 5, 6]] * 3])
def test_captions_of_one_length_need_no_padding(rows: list[list[int]]) -> None:
    captions = make_captions(rows, [0] * len(rows))
    assert captions.tokens.tolist() == rows
    assert captions.mask.all()
