"""The signs that training has failed."""

import math
import warnings

import pytest
from torch import tensor

from captioning.errors import InputError
from captioning.training.collapse import check_finite, warn_of_collapse
from tests.support.builders import one_line


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_refused(loss: float) -> None:
    with pytest.raises(InputError, match=f"the loss became {loss} at step 1,000") as error:
        check_finite(tensor(loss), 1000)
    one_line(error)
    check_finite(tensor(-1e30), 1000)


@pytest.mark.parametrize(
    ("logs", "words"),
    [
        (
            {"entropy": 0.019, "distinct": 0.05},
            ["its entropy fell below 0.02 nats per word, so it"],
        ),
        ({"entropy": 0.02, "distinct": 0.049}, ["fewer than 5% of the captions that it draws"]),
        ({"entropy": 0.0, "distinct": 0.0}, ["its entropy fell", "fewer than 5%"]),
        ({"entropy": 0.02, "distinct": 0.05}, []),
        ({"accuracy": 0.0, "words": 0.0}, []),
    ],
)
def test_a_collapse_is_told_in_plain_words(logs: dict[str, float], words: list[str]) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        collapsed = warn_of_collapse({name: tensor(value) for name, value in logs.items()})
    assert collapsed == bool(words)
    for warning, sign in zip(told, words, strict=True):
        assert f"the captioner has collapsed: {sign}" in str(warning.message)
        assert "lower its learning rate or mix a likelihood in" in str(warning.message)
