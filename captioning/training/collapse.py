"""What shows that training has failed: a captioner that collapsed, a loss that is no number."""

import warnings

from jaxtyping import Float
from torch import Tensor

from captioning.errors import InputError

# Below these limits, the captions that an objective samples have collapsed.
LEAST_ENTROPY = 0.02  # nats per word
LEAST_DISTINCT = 0.05  # share of the captions of a batch


def check_finite(loss: Float[Tensor, ""], step: int) -> None:
    """Refuse to go on with a loss that is no finite number. On a GPU this waits for it."""
    if not loss.isfinite():
        raise InputError(
            f"the loss became {loss.item()} at step {step:,}: lower the learning rates or "
            "optimisation.gradient_norm, and go on from the last checkpoint with --resume"
        )


def warn_of_collapse(logs: dict[str, Tensor]) -> bool:
    """Warn if the captions that the captioner draws hardly vary; return whether they do not.

    On a GPU this waits until the logs are computed.
    """
    signs = []
    if "entropy" in logs and logs["entropy"] < LEAST_ENTROPY:
        signs.append(
            f"its entropy fell below {LEAST_ENTROPY} nats per word, so it says nearly the same "
            "every time"
        )
    if "distinct" in logs and logs["distinct"] < LEAST_DISTINCT:
        signs.append(
            f"fewer than {LEAST_DISTINCT:.0%} of the captions that it draws in a batch are distinct"
        )
    for sign in signs:
        warnings.warn(
            f"the captioner has collapsed: {sign}; lower its learning rate or mix a likelihood in",
            stacklevel=1,
        )
    return bool(signs)
