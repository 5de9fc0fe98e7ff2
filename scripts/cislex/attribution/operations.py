"""Calls into torch as data: their canonical name, their tensors, and what kind of operation they are."""

from __future__ import annotations

import enum
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.kernels import Workers
from cislex.attribution.transforms import memory_of, words


class Kind(enum.Enum):
    """How the engine treats an operation."""

    #: Linear in its only activation, or about shapes and metadata: autograd's own backward is exact.
    LINEAR = "linear"
    #: Linear in each argument: exact for one activation, needs a rule for two.
    MULTILINEAR = "multilinear"
    #: Makes a value that carries no gradient (comparison, index, number): allowed where it agrees.
    BRANCH = "branch"
    #: Needs a rule wherever an activation reaches it.
    NONLINEAR = "nonlinear"


#: Parts of the paths of files that are no model's own.
LIBRARIES = ("/torch/", "/cislex/attribution/", "/cislex/models/full_precision", "contextlib.py")
#: Dropout of values; outside of training it returns what it is given.
DROPOUT = words("dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout")

_LINEAR = DROPOUT + words("""
add sub subtract rsub neg negative positive mean sum nansum cat concat concatenate stack hstack vstack
dstack view view_as reshape reshape_as permute transpose t swapaxes swapdims movedim moveaxis flatten
unflatten ravel squeeze unsqueeze getitem narrow select slice split split_with_sizes chunk tensor_split
unbind unsafe_split unsafe_chunk expand expand_as broadcast_to broadcast_tensors repeat repeat_interleave
tile roll flip fliplr flipud rot90 contiguous clone to float double half bfloat16 type type_as cuda cpu
to_copy lift_fresh lift_fresh_copy alias cumsum diff avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d upsample interpolate upsample_nearest1d upsample_nearest2d
upsample_linear1d upsample_bilinear2d pad constant_pad_nd reflection_pad1d replication_pad1d zero_pad2d
native_dropout batch_norm native_batch_norm_legit_no_training index_select gather take_along_dim masked_fill
masked_select
take index scatter scatter_add index_add index_copy index_fill tril triu diagonal diag diag_embed trace fold
unfold unfold_copy im2col col2im pixel_shuffle pixel_unshuffle channel_shuffle where copy zero fill setitem
unsafe_view as_strided detach_copy adaptive_avg_pool as_subclass squeeze_copy upsample_nearest
upsample_bilinear rename refine_names align_to dim size stride storage_offset numel nelement ndimension
is_contiguous is_floating_point is_complex is_signed is_sparse is_inference element_size get_device data_ptr
storage untyped_storage is_same_size is_pinned is_set_to len iter repr str format hash dir set_
requires_grad_ retain_grad register_hook register_post_accumulate_grad_hook sym_size sym_stride sym_numel
sym_constrain_range sym_constrain_range_for_size assert_tensor_metadata assert_async get_default_dtype
result_type promote_types can_cast broadcast_shapes is_tensor is_storage is_nonzero_shape zeros_like
ones_like full_like empty_like rand_like randn_like randint_like new_zeros new_ones new_full new_empty
new_tensor empty zeros ones full arange linspace eye tensor as_tensor scalar_tensor rand randn randint
randperm empty_strided from_numpy is_grad_enabled set_grad_enabled get_rng_state isnan isinf isfinite
isneginf isposinf isreal T mT H mH real imag index_put masked_scatter select_scatter slice_scatter
fft_fft fft_ifft fft_rfft fft_irfft fft_hfft fft_ihfft
fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn fft_rfftn fft_irfftn fft_fftshift fft_ifftshift
fft_r2c fft_c2r fft_c2c stft istft complex view_as_real view_as_complex conj conj_physical resolve_conj
resolve_neg diagonal_scatter as_strided_scatter hsplit vsplit dsplit column_stack row_stack narrow_copy
atleast_1d atleast_2d atleast_3d unsafe_index adjoint
""")

_MULTILINEAR = words("""
mul multiply matmul mm bmm mv dot inner outer vdot linear conv1d conv2d conv3d convolution conv_transpose1d
conv_transpose2d conv_transpose3d addmm baddbmm addbmm addmv addr addcmul einsum tensordot kron bilinear
chain_matmul multi_dot conv_tbc lerp rmatmul
""")

_BRANCH = words("""
gt lt ge le eq ne greater less greater_equal less_equal equal not_equal allclose isclose argmax argmin
argsort argwhere nonzero item bool int_value tolist numpy detach data is_nonzero count_nonzero index_value
long int short char byte any all logical_and logical_or logical_not logical_xor signbit bucketize
searchsorted unique unique_consecutive sign round floor ceil trunc fix heaviside topk_indices array and or
xor invert float_value complex_value contains
""")

#: What kind each operation is that the engine has heard of.
KINDS: dict[str, Kind] = (
    dict.fromkeys(_LINEAR, Kind.LINEAR)
    | dict.fromkeys(_MULTILINEAR, Kind.MULTILINEAR)
    | dict.fromkeys(_BRANCH, Kind.BRANCH)
)

#: What these return does not depend on the values that they receive.
SHAPES = frozenset(
    words("""
dim size len stride numel nelement ndimension is_floating_point is_contiguous is_complex get_device
zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty
element_size data_ptr is_same_size requires_grad_ sym_size sym_numel sym_stride
""")
)

#: Python protocol methods whose stripped name would collide with another operation.
_PROTOCOL = {
    "__int__": "int_value",
    "__float__": "float_value",
    "__bool__": "bool",
    "__index__": "index_value",
    "__complex__": "complex_value",
    "__radd__": "add",
    "__rsub__": "rsub",
    "__rmul__": "mul",
    "__rmatmul__": "rmatmul",
    "__truediv__": "div",
    "__rtruediv__": "rdiv",
    "__rdiv__": "rdiv",
    "__rpow__": "rpow",
    "__iadd__": "add_",
    "__isub__": "sub_",
    "__imul__": "mul_",
    "__itruediv__": "div_",
    "__idiv__": "div_",
    "__ipow__": "pow_",
    "__setitem__": "setitem_",
}

#: What torch also calls some arguments.
_NUMPY = {"dim": "axis", "keepdim": "keepdims"}

#: Properties that hold the values of their tensor.
_PROPERTIES = frozenset(("data", "T", "mT", "H", "mH", "real", "imag"))

#: What ``torch.special`` repeats of ``torch``.
_SPECIAL = words("erf erfc exp2 expm1 log1p log_softmax logit logsumexp round sinc softmax xlogy")

#: Same operation, several names.
_ALIASES = {
    "divide": "div",
    "true_divide": "div",
    "clip": "clamp",
    "absolute": "abs",
    "_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "arctan2": "atan2",
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "fix": "trunc",
    "special_expit": "sigmoid",
    "expit": "sigmoid",
    **{f"special_{name}": name for name in _SPECIAL},
    "linalg_det": "det",
    "linalg_matmul": "matmul",
    "_scaled_dot_product_attention": "scaled_dot_product_attention",
    "scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_attention",
    "linalg_vector_norm": "vector_norm",
    "max_pool1d_with_indices": "max_pool1d",
    "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "adaptive_max_pool1d_with_indices": "adaptive_max_pool1d",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool2d",
    "adaptive_max_pool3d_with_indices": "adaptive_max_pool3d",
}


#: Libraries whose operations are what their names say.
_LIBRARIES = frozenset(("aten", "prims", "prim", "_c10d_functional"))


def canonical(func: Callable[..., Any]) -> tuple[str, bool]:
    """Canonical name of a torch function and whether it writes in place.

    ``torch.relu_``, ``Tensor.relu`` and ``aten.relu.default`` are all ``relu``; a property such as
    ``Tensor.data`` is its own name. Operations of other libraries whose names are those of linear ones keep
    the library's name.
    """
    name = getattr(func, "__name__", type(func).__name__)
    if name in ("__get__", "__set__", "__delete__"):
        owner = getattr(getattr(func, "__self__", None), "__name__", "")
        return (owner if owner in _PROPERTIES else "dim"), name == "__set__"
    if isinstance(func, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        packet = func if isinstance(func, torch._ops.OpOverloadPacket) else func.overloadpacket
        library, _, name = packet._qualified_op_name.partition("::")
        if library not in _LIBRARIES and kind_of(name) is not Kind.NONLINEAR:
            return f"{library}::{name}", False  # its name says nothing about what it does
        if name.startswith("_") and name not in _ALIASES:
            name = name.lstrip("_")
    name = _PROTOCOL.get(name, name)
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
    name = _ALIASES.get(name, name)
    in_place = name.endswith("_") and name not in ("requires_grad_",)
    stripped = name.strip("_")
    return _ALIASES.get(stripped, stripped), in_place


def kind_of(name: str) -> Kind:
    """What kind an operation is; unknown operations are nonlinear."""
    return KINDS.get(name, Kind.NONLINEAR)


class Held:
    """A tensor that a backward will read; written in place before, it is copied first.

    Autograd's own way of saving refuses such models.
    """

    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()

    def alone(self) -> bool:
        """Whether nobody else can read this memory any more, so that it may be written over."""
        return _users(self.tensor) == _users(torch.empty(1))


def _users(tensor: Tensor) -> int:
    """How many tensors torch counts for the memory of one, with itself."""
    storage = tensor.untyped_storage()
    return int(torch._C._storage_Use_Count(storage._cdata))


class Phase:
    """One replay: its threads, what its backward will read, and whether that backward is the last.

    In the last backward through a graph saved tensors may be written over.
    """

    __slots__ = ("_held", "last", "workers")

    def __init__(self) -> None:
        self.last = False
        self.workers = Workers()
        self._held: weakref.WeakSet[Held] = weakref.WeakSet()

    def end(self) -> None:
        """The next backward is the last."""
        self.last = True

    def hold(self, tensor: Tensor) -> Held:
        """Keep a tensor for the backward."""
        held = Held(tensor)
        self._held.add(held)
        return held

    def protect(self, target: Tensor) -> None:
        """Copy what shares memory with a tensor that is about to be written."""
        pointer = memory_of(target)
        for held in list(self._held):
            if memory_of(held.tensor) == pointer:
                held.tensor = held.tensor.clone()


class Call:
    """One intercepted call: the function, its arguments, and the tensors among them in order."""

    __slots__ = ("args", "func", "in_place", "kwargs", "name", "phase", "tensors")

    phase: Phase

    def __init__(
        self, name: str, in_place: bool, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> None:
        self.name = name
        self.func = func
        self.in_place = in_place or kwargs.get("inplace") is True
        self.args = args
        self.kwargs = kwargs
        self.tensors: list[Tensor] = []
        _collect(args, self.tensors)
        if kwargs:
            _collect(kwargs, self.tensors)

    def with_tensors(self, tensors: Sequence[Tensor]) -> Call:
        """The same call of other tensors."""
        replacements = iter(tensors)
        args = _substitute(self.args, replacements)
        other = Call(self.name, False, self.func, args, _substitute(self.kwargs, replacements))
        other.in_place = self.in_place
        other.phase = self.phase
        return other

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """Call the function with other tensors in place of its own, never changing them."""
        replacements = iter(tensors)
        args = _substitute(self.args, replacements)
        kwargs = _substitute(self.kwargs, replacements)
        if kwargs.get("inplace") is True:
            kwargs = {**kwargs, "inplace": False}
        if self.func_writes:
            args = (args[0].clone(), *args[1:])
        return self.func(*args, **kwargs)

    def applied(self, tensors: Sequence[Tensor]) -> Any:
        """What the call makes of other tensors; where it writes, what it would have written."""
        if not self.func_writes:
            return self.run(tensors)
        replacements = iter(tensors)
        first, *others = _substitute(tuple(self.args), replacements)
        first = first.clone()
        self.func(first, *others, **_substitute(self.kwargs, replacements))
        return first

    def place(self, position: int, name: str) -> int | None:
        """Index among ``tensors`` of an argument by position or name; None where it is no tensor."""
        before: list[Tensor] = []
        if name in self.kwargs:
            _collect(self.args, before)
            _collect([value for key, value in self.kwargs.items()][: list(self.kwargs).index(name)], before)
        else:
            _collect(self.args[:position], before)
        return len(before) if isinstance(self.argument(position, name), Tensor) else None

    @property
    def func_writes(self) -> bool:
        """Whether the function itself (not a keyword) writes into its first argument."""
        return self.in_place and self.kwargs.get("inplace") is not True

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """A non-tensor argument by position or name."""
        for key in (name, _NUMPY.get(name)):
            if key in self.kwargs:
                return self.kwargs[key]
        return self.args[position] if len(self.args) > position else default

    def describe(self) -> str:
        """Name and shapes, for messages."""
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in self.tensors)
        return f"{self.name}({shapes})"


def _collect(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, found)
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, found)


def _substitute(value: Any, replacements: Any) -> Any:
    if isinstance(value, Tensor):
        return next(replacements)
    if isinstance(value, list):
        return [_substitute(item, replacements) for item in value]
    if isinstance(value, tuple):
        return tuple(_substitute(item, replacements) for item in value)
    if isinstance(value, dict):
        return {key: _substitute(item, replacements) for key, item in value.items()}
    return value


def tensors_of(output: Any) -> list[Tensor]:
    """All tensors of an output, in order."""
    found: list[Tensor] = []
    _collect(output, found)
    return found


def differentiable(tensor: Tensor) -> bool:
    """Whether a tensor can carry multipliers: real or complex numbers, not indices."""
    return tensor.is_floating_point() or tensor.is_complex()


def whereabouts(model: torch.nn.Module) -> str:
    """Where in the model, and in which source line, the current call happens; read off the stack."""
    names = {id(module): name for name, module in model.named_modules()}
    path, line = "", ""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        owner = frame.f_locals.get("self")
        if not line and not any(part in file for part in LIBRARIES):
            line = f"{file}:{frame.f_lineno}"
        if not path and isinstance(owner, torch.nn.Module) and names.get(id(owner)):
            path = names[id(owner)]
        frame = frame.f_back  # type: ignore[assignment]
    return f"in module {path or '(the model itself)'}" + (f", {line}" if line else "")
