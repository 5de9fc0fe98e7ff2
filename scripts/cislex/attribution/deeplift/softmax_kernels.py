"""A compiled loop for the path rule of softmax in float32: one pass over a matrix of attention, not thirty.

The exponential is made of multiplications, additions and the exponent's bits, and maxima are those of whole
numbers in the order of the floats, since compilers make vector instructions of both; of ``exp`` and of
floats' maxima they make none.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numba
import numpy as np
import torch
from torch import Tensor

from cislex.attribution.kernels import Workers, compiled

_f, _i = np.float32, np.int32
_LOG2_E, _LN2_HIGH = _f(1 / math.log(2)), _f(0.693359375)
_LN2_LOW = _f(math.log(2) - 0.693359375)
#: 1/k! of the exponential's series: on [−ln 2/2, ln 2/2] eight terms leave less than 1e-8.
_C2, _C3, _C4, _C5, _C6, _C7 = (_f(1 / math.factorial(k)) for k in range(2, 8))
_HALF, _ONE, _SMALLEST = _f(0.5), _f(1), _f(-87)
_SIGN, _REST, _LEAST, _BIAS, _MANTISSA = _i(31), _i(0x7FFFFFFF), _i(-(2**31)), _i(127), _i(23)


@numba.njit(inline="always")  # the options are those of its caller
def _exponential(value):  # type: ignore[no-untyped-def]
    """exp(value) of a number that is not positive, to 1e-7 of it; 0 below e⁻⁸⁷, where float32 ends."""
    bounded = value if value > _SMALLEST else _SMALLEST
    power = np.floor(bounded * _LOG2_E + _HALF)
    rest = bounded - power * _LN2_HIGH - power * _LN2_LOW
    series = _C7 * rest + _C6
    series = series * rest + _C5
    series = series * rest + _C4
    series = series * rest + _C3
    series = series * rest + _C2
    series = series * rest + _ONE
    series = series * rest + _ONE
    scale = _i((_i(power) + _BIAS) << _MANTISSA).view(_f)
    return series * scale if value > _SMALLEST else _f(0)


@numba.njit(inline="always")
def _order(value):  # type: ignore[no-untyped-def]
    """A whole number for a float, in the same order."""
    bits = _f(value).view(_i)
    return _i(bits ^ ((bits >> _SIGN) & _REST))


@functools.partial(compiled, finite=False, reorder=True)
def _average(first, last, example, example_output, start, output, gradient, nodes, weights, slopes, sums):  # type: ignore[no-untyped-def]
    """Multipliers of lines, and what they and those of the output sum to. Lines (n, M, S), (n·R, M, S)."""
    references, height, width = start.shape[0] // example.shape[0], start.shape[1], start.shape[2]
    change, value = np.empty(width, _f), np.empty(width, _f)
    for line in range(first, last):
        row, at = line // height, line % height
        x, y_x = example[row // references, at], example_output[row // references, at]
        h, y, g, m = start[row, at], output[row, at], gradient[row, at], slopes[row, at]
        for j in range(width):  # zero where both are the same infinity
            change[j] = _f(0) if x[j] == h[j] else x[j] - h[j]
            m[j] = _f(0)
        for k in range(nodes.shape[0]):
            node, top = nodes[k], _LEAST
            for j in range(width):
                value[j] = h[j] + node * change[j]
                order = _order(value[j])
                top = order if order > top else top
            largest = _i(top ^ ((top >> _SIGN) & _REST)).view(_f)
            total, mean = _f(0), _f(0)
            for j in range(width):
                power = _exponential(value[j] - largest)
                value[j] = power
                total += power
                mean += power * g[j]
            mean, part = mean / total, weights[k] / total
            for j in range(width):
                m[j] += part * value[j] * (g[j] - mean)
        got, wanted, size = _f(0), _f(0), _f(0)
        for j in range(width):
            got += m[j] * change[j]
            passed = g[j] * (y_x[j] - y[j])
            wanted += passed
            size += abs(passed)
        sums[0, row, at], sums[1, row, at], sums[2, row, at] = got, wanted, size


def average_slopes(
    workers: Workers, ends: Sequence[Tensor], gradient: Tensor, nodes: Sequence[tuple[float, float]]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Multipliers of the activations, and Σ m·Δh, Σ g·Δy and Σ|g·Δy| of each row in double precision.

    Parameters
    ----------
    ends
        Activations and softmax of the examples (n, …, S), then of the references (n·R, …, S), ordered
        example by example; float32 on a CPU, the softmax along the last axis.
    gradient
        Multipliers of the output.
    nodes
        Positions on the line, 0 to 1, and weights.
    """
    slopes = torch.empty_like(gradient, memory_format=torch.contiguous_format)
    width = slopes.shape[-1]
    lines = [item.detach().reshape(len(item), -1, width) for item in (*ends, gradient, slopes)]
    rows, height, _ = lines[2].shape
    sums = torch.empty((3, rows, height))
    points = np.asarray(nodes, np.float32).T.copy()
    arrays = [item.numpy() for item in lines]
    workers.run(_average, rows * height, slopes.numel(), *arrays[:-1], *points, arrays[-1], sums.numpy())
    got, wanted, size = sums.sum(2, dtype=torch.float64)
    return slopes, (got, wanted, size)
