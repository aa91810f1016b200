"""A device other than the CPU for machines that have none: it computes, and refuses to mix."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# What PyTorch makes without content on this device has content inside `Elsewhere`.
ELSEWHERE = torch.device("meta")

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}

# What a program learns of a GPU's numbers only once all that was asked of it before is done.
WAITS = {
    aten._local_scalar_dense.default: "item",
    aten.equal.default: "equal",
    aten.nonzero.default: "nonzero",
    aten.unique_dim.default: "unique",
    aten.unique_consecutive.default: "unique",
    aten._unique2.default: "unique",
}


class Away(Tensor):
    """A tensor that says it is elsewhere; `inside` is where its numbers are."""

    inside: Tensor

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def new_tensor(self, values: Any) -> Tensor:
        return torch.tensor(values, dtype=self.dtype).to(ELSEWHERE)

    @classmethod
    def __torch_dispatch__(cls, operation: Any, *_: Any) -> Any:
        raise RuntimeError(f"{operation} outside of Elsewhere")


def away(inside: Tensor) -> Away:
    wrapper: Away = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
        Away, inside.shape, inside.stride(), dtype=inside.dtype, device=ELSEWHERE
    )
    wrapper.inside = inside
    return wrapper


class Elsewhere(TorchDispatchMode):
    """A block in which ELSEWHERE computes, and counts in `waits` what a GPU would be waited for.

    As on a GPU, an operation may take no tensor of another device but single numbers of the CPU.
    Here, unlike there, that goes for indices, too: a GPU would wait for them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        theirs = [each for each in given if isinstance(each, Away)]
        ours = [each for each in given if not isinstance(each, Away) and each.ndim > 0]
        if theirs and ours and operation not in COPIES:
            raise RuntimeError(f"{operation} on tensors of two devices")
        there = (kwargs.pop("device", None) or (ELSEWHERE if theirs else None)) == ELSEWHERE
        self.count(operation, args, bool(theirs) and not there)
        return rewrapped(operation(*inside(args), **inside(kwargs)), theirs, there)

    def count(self, operation: Any, args: Any, leaves: bool) -> None:
        """Note what a GPU would be waited for."""
        masks = operation in {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}
        if operation in WAITS and isinstance(args[0], Away):
            self.waits[WAITS[operation]] += 1
        elif leaves:
            self.waits["copy"] += 1
        elif masks and any(each is not None and each.dtype == torch.bool for each in args[1]):
            self.waits["mask"] += 1


def inside(values: Any) -> Any:
    """What an operation is given, unwrapped."""
    return tree_map(lambda each: each.inside if isinstance(each, Away) else each, values)


def rewrapped(found: Any, given: Sequence[Away], there: bool) -> Any:
    """Wrap what an operation has found; what it has changed in place is what it was given."""
    known = {id(each.inside): each for each in given}

    def wrap(each: Any) -> Any:
        if not (there and isinstance(each, Tensor)):
            return each
        return known[id(each)] if id(each) in known else away(each)

    return tree_map(wrap, found)
