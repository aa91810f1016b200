"""Work that processes share, and what the first makes of it."""

import pytest

from captioning.errors import InputError
from captioning.processes import collect, join, place


def test_a_process_alone_is_the_first_of_one_and_collects_its_own_work() -> None:
    assert place() == (0, 1)
    assert collect(lambda: "found") == ["found"]


def test_a_mistake_met_at_work_is_raised() -> None:
    def work() -> None:
        raise InputError("a picture is damaged")

    with pytest.raises(InputError, match="a picture is damaged"):
        collect(work)


def test_what_processes_found_is_put_in_order_and_may_lack_something() -> None:
    shares = [[("a", 1), ("d", 4)], [("b", 2)], []]
    assert [*join(shares, "dcba").items()] == [("d", 4), ("b", 2), ("a", 1)]


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([[("a", 1), ("b", 2)], [("a", 1)]], "'a' came twice"),
        ([[("a", 1), ("a", 1)]], "'a' came twice"),
        ([[("a", 1)], [("z", 2)]], "'z' is not in the split"),
    ],
)
def test_what_came_twice_or_from_elsewhere_is_refused(
    shares: list[list[tuple[str, int]]], words: str
) -> None:
    with pytest.raises(InputError, match=f"expected every picture of the split once, but {words}"):
        join(shares, "ab")
