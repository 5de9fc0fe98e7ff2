"""The order of variants by how much they stand out; without torch, for the report, too."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def strongest(table: pd.DataFrame, target: str, n: int) -> NDArray[np.int64]:
    """Rows of the n smallest q-values of a target, then of the largest effects; alike ones in their order."""
    q, effects = (table[f"{target}.{name}"].to_numpy(np.float64) for name in ("q", "effect"))
    return np.lexsort((-np.abs(effects), np.where(np.isnan(q), 1.0, q)))[:n]
