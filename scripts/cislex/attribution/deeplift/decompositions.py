"""Composite operations in simpler ones: each step has an exact rule, so the whole is complete.

Every function has the signature of the torch function whose place it takes, and runs inside the
recording or replaying mode. ``NotImplemented`` means: treat the call as one operation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cislex.attribution.deeplift.interception import Decomposition


def _axes(h: Tensor, dim: Any) -> list[int]:
    if dim is None or dim == () or dim == []:
        return list(range(h.dim()))
    return [dim % h.dim()] if isinstance(dim, int) else [axis % h.dim() for axis in dim]


def _standardise(h: Tensor, dims: list[int], eps: float) -> Tensor:
    """(h − mean)/sqrt(var + eps): square, sum, reciprocal root and product, each in closed form."""
    centred = h - h.mean(dims, keepdim=True)
    variance = torch.square(centred).mean(dims, keepdim=True)
    return centred * torch.rsqrt(variance + eps)


def _affine(h: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        h = h * weight
    return h if bias is None else h + bias


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """Layer normalisation over the last axes."""
    dims = list(range(input.dim() - len(tuple(normalized_shape)), input.dim()))
    return _affine(_standardise(input, dims, eps), weight, bias)


def native_layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, None, None]:
    """The ATen form, of which exported programs use the first output."""
    return layer_norm(input, normalized_shape, weight, bias, eps), None, None


def rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Root-mean-square normalisation over the last axes."""
    dims = list(range(input.dim() - len(tuple(normalized_shape)), input.dim()))
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    return _affine(input * torch.rsqrt(torch.square(input).mean(dims, keepdim=True) + eps), weight, None)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalisation over groups of channels."""
    shape = input.shape
    groups = input.reshape(shape[0], num_groups, -1)
    normed = _standardise(groups, [2], eps).reshape(shape)
    wide = [1, -1, *([1] * (len(shape) - 2))]
    return _affine(
        normed,
        None if weight is None else weight.reshape(wide),
        None if bias is None else bias.reshape(wide),
    )


def instance_norm(input: Tensor, *ordered: Any, **named: Any) -> Any:
    """Normalisation of each channel of each example.

    ``torch.nn.functional`` names its arguments; ``torch.instance_norm`` gives all of them in another order.
    """
    names = ("weight", "bias", "running_mean", "running_var", "use_input_stats", "momentum", "eps", "cudnn")
    options = dict(zip(names, ordered, strict=False)) | named
    weight, bias, eps = options.get("weight"), options.get("bias"), options.get("eps", 1e-5)
    if not options.get("use_input_stats", True):
        statistics = options["running_mean"], options["running_var"]
        return functional.batch_norm(input, *statistics, weight, bias, False, 0.1, eps)
    return group_norm(input, input.shape[1], weight, bias, eps)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False, out: None = None) -> Any:
    """Least and largest value."""
    axes = _axes(input, dim)
    least, largest = input.amin(axes, keepdim), input.amax(axes, keepdim)
    return torch.return_types.aminmax((least, largest))


def _spread(h: Tensor, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Tensor, list[int], bool]:
    """Variance from the several signatures of var and std: (values with axes kept, axes, keepdim)."""
    rest = list(args)
    dim = options.get("dim", options.get("axis"))
    correction = options.get("correction")
    unbiased = options.get("unbiased")
    if rest and isinstance(rest[0], bool):
        unbiased = rest.pop(0)
    elif rest:
        dim = rest.pop(0)
        if rest:
            unbiased = rest.pop(0)
    keepdim = bool(options.get("keepdim", options.get("keepdims", rest.pop(0) if rest else False)))
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    dims = _axes(h, dim)
    n = math.prod(h.shape[axis] for axis in dims)
    centred = h - h.mean(dims, keepdim=True)
    if h.is_complex():
        centred = torch.abs(centred)
    return torch.square(centred).sum(dims, keepdim=True) / max(n - correction, 0), dims, keepdim


def _drop(h: Tensor, dims: list[int], keepdim: bool) -> Tensor:
    return h if keepdim else h.squeeze(dims)


def var(input: Tensor, *args: Any, **options: Any) -> Tensor:
    """Variance."""
    values, dims, keepdim = _spread(input, args, options)
    return _drop(values, dims, keepdim)


def std(input: Tensor, *args: Any, **options: Any) -> Tensor:
    """Standard deviation."""
    values, dims, keepdim = _spread(input, args, options)
    return _drop(torch.sqrt(values), dims, keepdim)


def var_mean(input: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    values, dims, keepdim = _spread(input, args, options)
    return _drop(values, dims, keepdim), input.mean(dims, keepdim=keepdim)


def std_mean(input: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""
    values, dims, keepdim = _spread(input, args, options)
    return _drop(torch.sqrt(values), dims, keepdim), input.mean(dims, keepdim=keepdim)


def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: None = None, dtype: Any = None
) -> Any:
    """Vector norms of order 1 and 2."""
    if dtype is not None or p not in (None, "fro", 1, 2, 1.0, 2.0):
        return NotImplemented
    dims = _axes(input, dim)
    if input.is_complex():
        input = torch.abs(input)
    if p in (1, 1.0):
        return torch.abs(input).sum(dims, keepdim=keepdim)
    return torch.sqrt(torch.square(input).sum(dims, keepdim=keepdim))


def vector_norm(
    x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: None = None
) -> Any:
    """``torch.linalg.vector_norm`` of order 1 and 2."""
    return norm(x, ord, dim, keepdim, None, dtype)


def linalg_norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: None = None, dtype: Any = None
) -> Any:
    """``torch.linalg.norm``, whose number as order over two axes means a norm of matrices (2: spectral)."""
    axes = 2 if dim is None and A.dim() == 2 else len(dim) if isinstance(dim, list | tuple) else 1
    if ord not in (None, "fro") and axes == 2:
        return NotImplemented
    return norm(A, ord, dim, keepdim, None, dtype)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: None = None) -> Any:
    """``F.normalize``."""
    length = norm(input, p, dim, True)
    return NotImplemented if length is NotImplemented else input / torch.clamp(length, min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle along an axis."""
    lengths = [torch.clamp(norm(x, 2, dim, True), min=eps) for x in (x1, x2)]
    return ((x1 / lengths[0]) * (x2 / lengths[1])).sum(dim)


def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    out: None = None,
) -> Tensor:
    """Differences of neighbours, n times."""
    h = torch.cat([item for item in (prepend, input, append) if item is not None], dim)
    for _ in range(n):
        h = h.narrow(dim, 1, h.shape[dim] - 1) - h.narrow(dim, 0, h.shape[dim] - 1)
    return h


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Gated linear unit: a·sigmoid(b)."""
    a, b = input.chunk(2, dim)
    return a * torch.sigmoid(b)


def sgn(input: Tensor, *, out: None = None) -> Any:
    """z/|z| of complex numbers, 0 at 0; the sign of real ones."""
    if not input.is_complex():
        return torch.sign(input)
    return input / torch.abs(input).clamp(min=torch.finfo(input.real.dtype).tiny)


def power(input: Any, exponent: Any, *, out: None = None) -> Any:
    """exp(b log a) where both are tensors and one is complex; else one operation."""
    both = isinstance(input, Tensor) and isinstance(exponent, Tensor)
    if not both or not (input.is_complex() or exponent.is_complex()):
        return NotImplemented
    return torch.exp(exponent * torch.log(input))


def softmax(input: Tensor, dim: int | None = None, *rest: Any, **options: Any) -> Any:
    """Softmax over an axis of two, as in attention pooling: σ(a − b) and σ(b − a), each in closed form."""
    odd = options.get("dtype") is not None or options.get("half_to_float")
    if (
        dim is None
        or input.dim() == 0
        or input.shape[dim] != 2
        or odd
        or any(item for item in rest if item != 3)
    ):
        return NotImplemented
    a, b = input.unbind(dim)
    difference = a - b
    return torch.stack((torch.sigmoid(difference), torch.sigmoid(-difference)), dim)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Softmax of −h."""
    return torch.softmax(-input, -1 if dim is None else dim, dtype=dtype)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Softmax(q kᵀ·scale + mask) v: bilinear, softmax, bilinear."""
    if dropout_p or enable_gqa:
        return NotImplemented
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query * factor, key.transpose(-2, -1))
    if is_causal:
        keep = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~keep, float("-inf"))
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        else:
            scores = scores + attn_mask
    return torch.matmul(torch.softmax(scores, -1), value)


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """``F.multi_head_attention_forward``; sequence first, (L, B, E)."""
    odd = (bias_k, bias_v, key_padding_mask, static_k, static_v)
    if any(item is not None for item in odd) or add_zero_attn or query.dim() != 3:
        return NotImplemented
    if use_separate_proj_weight:
        projections = [q_proj_weight, k_proj_weight, v_proj_weight]
    else:
        assert in_proj_weight is not None
        projections = list(in_proj_weight.chunk(3))
    biases = [None] * 3 if in_proj_bias is None else list(in_proj_bias.chunk(3))
    heads: list[Tensor] = []
    ordered: dict[int, Tensor] = {}  # rows by their source, which query, key and value may share
    for source, weight, bias in zip((query, key, value), projections, biases, strict=True):
        assert weight is not None
        # In order in memory: a product with what lies transposed would be one of many small matrices.
        if id(source) not in ordered:
            ordered[id(source)] = source.transpose(0, 1).contiguous()
        projected = functional.linear(ordered[id(source)], weight, bias).unflatten(2, (num_heads, -1))
        heads.append(projected.transpose(1, 2))
    q, k, v = heads
    scores = torch.matmul(q * (1 / math.sqrt(q.shape[-1])), k.transpose(-2, -1))
    if attn_mask is not None:
        if attn_mask.dim() == 3:
            attn_mask = attn_mask.reshape(scores.shape[0], num_heads, *attn_mask.shape[1:])
        blocked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(attn_mask, float("-inf")) if blocked else scores + attn_mask
    weights = torch.softmax(scores, -1)
    mixed = torch.matmul(weights, v).transpose(1, 2).flatten(2)
    output = functional.linear(mixed, out_proj_weight, out_proj_bias).transpose(0, 1)
    if not need_weights:
        return output, None
    return output, weights.mean(1) if average_attn_weights else weights


#: Composite operations, by canonical name.
DECOMPOSITIONS: dict[str, Decomposition] = {
    "layer_norm": layer_norm,
    "native_layer_norm": native_layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "var": var,
    "std": std,
    "var_mean": var_mean,
    "std_mean": std_mean,
    "norm": norm,
    "linalg_norm": linalg_norm,
    "vector_norm": vector_norm,
    "normalize": normalize,
    "cosine_similarity": cosine_similarity,
    "aminmax": aminmax,
    "diff": diff,
    "glu": glu,
    "softmax": softmax,
    "softmin": softmin,
    "sgn": sgn,
    "pow": power,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "multi_head_attention_forward": multi_head_attention,
}
