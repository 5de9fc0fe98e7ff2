"""Layers of MMSplice and MTSplice that are not part of Keras, written from their definition."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from scipy.interpolate import BSpline


class ConvDNA(keras.layers.Conv1D):
    """A convolution over one-hot DNA."""

    def __init__(self, seq_length: int | None = None, **options: Any) -> None:
        super().__init__(**options)


class GlobalAveragePooling1DMask0(keras.layers.Layer):
    """Mean over the positions whose base is known: of (N, L, C), where (N, L, 4) is not all zero."""

    def call(self, inputs: Any) -> Any:
        hidden, sequences = inputs
        known = keras.ops.max(sequences, axis=2, keepdims=True)
        return keras.ops.sum(hidden * known, axis=1) / keras.ops.maximum(keras.ops.sum(known, axis=1), 1e-7)


class SplineWeight1D(keras.layers.Layer):
    """Each channel times 1 + a cubic spline of the position."""

    def __init__(self, n_bases: int = 10, spline_degree: int = 3, **options: Any) -> None:
        ours = ("name", "trainable", "dtype")
        super().__init__(**{key: value for key, value in options.items() if key in ours})
        self.n_bases, self.degree = n_bases, spline_degree

    def build(self, shape: Any) -> None:
        """Bases over evenly spaced knots that cover the positions and a thousandth more at either end."""
        last = shape[1] - 1
        step = 1.002 * last / (self.n_bases - self.degree)
        knots = -0.001 * last + step * np.arange(-self.degree, self.n_bases + 1)
        bases = BSpline(knots.astype(np.float32), np.eye(self.n_bases), self.degree)(np.arange(shape[1]))
        self.bases = keras.ops.convert_to_tensor(bases.astype(np.float32))
        self.kernel = self.add_weight(shape=(self.n_bases, shape[2]), name="kernel")

    def call(self, x: Any) -> Any:
        return x * (1 + keras.ops.matmul(self.bases, self.kernel))


OBJECTS = {
    "ConvDNA": ConvDNA,
    "GlobalAveragePooling1D_Mask0": GlobalAveragePooling1DMask0,
    "SplineWeight1D": SplineWeight1D,
}
