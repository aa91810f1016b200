"""The array types of the metrics; shapes are given in docstrings."""

# Not jaxtyping's types, whose import takes longer than that of this whole package.
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
