"""Convert arrays to tensors: also reversed views, foreign byte orders and read-only files."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_tensor(values: Any) -> Tensor:
    """Convert to a tensor of numbers; share memory with an array where PyTorch can, else copy it.

    Raises
    ------
    TypeError
        For anything else than numbers; the message says what was found.
    """
    if isinstance(values, Tensor):
        return values.detach()
    try:
        array = np.asarray(values)
    except ValueError:  # rows of several lengths
        raise TypeError(f"{type(values).__name__} whose rows have several shapes") from None
    if array.dtype.kind not in "biufc":
        name = type(values).__name__
        raise TypeError(f"{name} of {array.dtype}" if isinstance(values, np.ndarray) else name)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    elif array.dtype.kind == "c" and array.dtype.itemsize > 16:
        array = array.astype(np.complex128)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():  # of arrays that cannot be written to; nothing of a user's is
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.as_tensor(array)
