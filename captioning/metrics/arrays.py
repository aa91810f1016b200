"""The kinds of array that metrics are computed in; their shapes are told in words."""

# Not in jaxtyping's types, whose import takes longer than all that is this package's own.
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
