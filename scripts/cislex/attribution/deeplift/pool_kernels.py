"""Compiled loops for max-pooling along positions: one pass forward, one back, in place of fifteen.

Arrays are (rows, C, P) for what is pooled and (rows, C, Q) for what comes out; a loop takes some of the
channels for all rows. The rule is that of ``pooling``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cislex.attribution.kernels import Workers, compiled

_UNKNOWN, _NO, _YES = 0, 1, 2


@compiled
def _pool(first, last, values, size, stride, padding, dilation, output, places):  # type: ignore[no-untyped-def]
    """Maxima of windows and where they are; of equal ones the first."""
    length = values.shape[2]
    for row in range(values.shape[0]):
        for channel in range(first, last):
            h, out, at = values[row, channel], output[row, channel], places[row, channel]
            for q in range(out.shape[0]):
                start = q * stride - padding
                while start < 0:
                    start += dilation
                best, place = h[start], start
                stop = min(q * stride - padding + (size - 1) * dilation + 1, length)
                for p in range(start + dilation, stop, dilation):
                    if h[p] > best:
                        best, place = h[p], p
                out[q], at[q] = best, place


@compiled
def _alike(example, reference, channel, place, limit, positions, channels):  # type: ignore[no-untyped-def]
    """Whether all channels of a position agree, or all positions of a channel; each is looked at once."""
    if positions[place] == _UNKNOWN:
        positions[place] = _YES
        for c in range(example.shape[0]):
            if abs(example[c, place] - reference[c, place]) > limit:
                positions[place] = _NO
                break
    if positions[place] == _YES:
        return True
    if channels[channel] == _UNKNOWN:
        channels[channel] = _YES
        for p in range(example.shape[1]):
            if abs(example[channel, p] - reference[channel, p]) > limit:
                channels[channel] = _NO
                break
    return channels[channel] == _YES


@compiled
def _route(first, last, example, reference, at_example, at_reference, limits, gradient, output):  # type: ignore[no-untyped-def]
    """Scatter a gradient to the argmaxima of both, by cross-max routing."""
    references = reference.shape[0] // example.shape[0]
    positions = np.empty(example.shape[2], np.int8)
    channels = np.empty(example.shape[1], np.int8)
    alone = example.shape[1] == 1
    zero, one = output.dtype.type(0), output.dtype.type(1)
    for row in range(reference.shape[0]):
        i = row // references
        limit = limits[row]
        positions[:] = _UNKNOWN
        channels[:] = _UNKNOWN
        for c in range(first, last):
            x, r, out, g = example[i, c], reference[row, c], output[row, c], gradient[row, c]
            for p in range(out.shape[0]):
                out[p] = zero
            for q in range(g.shape[0]):
                a, b = at_example[i, c, q], at_reference[row, c, q]
                y_x, y_r = x[a], r[b]
                top = max(y_x, y_r)
                d_x, d_r = y_x - r[a], x[b] - y_r
                w_x, w_r = one, zero
                if y_x != r[a] and not (
                    abs(d_x) <= limit
                    and (alone or _alike(example[i], reference[row], c, a, limit, positions, channels))
                ):
                    w_x = (top - y_r) / d_x
                if x[b] != y_r and not (
                    abs(d_r) <= limit
                    and (alone or _alike(example[i], reference[row], c, b, limit, positions, channels))
                ):
                    w_r = (y_x - top) / d_r
                out[a] += g[q] * w_x
                out[b] += g[q] * w_r


def pool(
    workers: Workers, values: Tensor, *, size: int, stride: int, padding: int, dilation: int
) -> tuple[Tensor, Tensor]:
    """Max-pooling of (rows, C, P), contiguous: values and places (rows, C, Q), float and int64."""
    windows = (values.shape[2] + 2 * padding - dilation * (size - 1) - 1) // stride + 1
    output = values.new_empty((*values.shape[:2], windows))
    places = torch.empty(output.shape, dtype=torch.int64)
    arrays = values.detach().numpy(), size, stride, padding, dilation, output.numpy(), places.numpy()
    workers.run(_pool, values.shape[1], values.numel(), *arrays)
    return output, places


def route(
    workers: Workers,
    example: Tensor,
    reference: Tensor,
    places: tuple[Tensor, Tensor],
    rounding: float,
    gradient: Tensor,
) -> Tensor:
    """Multipliers of what was pooled for multipliers of the maxima.

    Parameters
    ----------
    example, reference
        (n, C, P) and (n·R, C, P), for which ``kernels.fits``.
    places
        Argmaxima (n, C, Q) of the example and (n·R, C, Q) of the reference.
    rounding
        Differences of up to this part of an example's largest maximum may be rounding. Maxima that are the
        same in the reference are not looked at: masks put large numbers there.
    gradient
        (n·R, C, Q).
    """
    n, references = len(example), len(reference) // max(1, len(example))
    at = places[0].unsqueeze(1).expand(-1, references, -1, -1)
    there = reference.detach().unflatten(0, (n, references)).gather(3, at)
    here = example.gather(2, places[0]).unsqueeze(1)
    limits = here.abs().mul(here != there).nan_to_num_(0.0).amax((2, 3)).flatten().mul_(rounding)
    output = torch.empty_like(reference)
    arrays = [item.detach().numpy() for item in (example, reference, *places, limits, gradient, output)]
    workers.run(_route, example.shape[1], reference.numel(), *arrays)
    return output
