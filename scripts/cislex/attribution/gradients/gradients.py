"""Gradients of targets with respect to the sequence: Saliency and TISM, and code that other methods share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cislex.attribution.execution.shared_backward import Term, backward_terms
from cislex.attribution.result import BatchResult
from cislex.errors import ModelError
from cislex.targets import Target
from cislex.targets.outputs import map_rows


def batch_multipliers(
    model: nn.Module,
    x: Tensor,
    refs: Tensor,
    targets: Sequence[Target],
    method: Any,
    extra: Sequence[Tensor] = (),
    *,
    rows: int = 0,
) -> BatchResult:
    """Gradients of n examples: one forward, and at most one backward per target.

    Parameters
    ----------
    model
        In evaluation mode, its parameters without gradient.
    x
        (n, 4, L) one-hot, floating point.
    refs
        (n, R, 4, L); only the baseline of ``hypothetical`` depends on them.
    targets
        T targets; they share the forward pass.
    method
        ``Saliency`` or ``TISM``; the numbers are the same, TISM is a way to read them.
    extra
        Further inputs of the model, (n, …) each.
    rows
        Most rows at once; 0 for all.

    Returns
    -------
    BatchResult
        Multipliers (T, n, 4, L) are ∂f/∂x.
    """
    multipliers = x.new_zeros((len(targets), *x.shape))
    prediction = x.new_empty((len(targets), len(x)))
    with recurrent_backward(x):
        for part in chunks(len(x), rows):
            leaf = x[part].detach().clone().requires_grad_()
            with torch.enable_grad():
                output = model(leaf, *(item[part] for item in extra))
                values = [checked(target(output), len(leaf)) for target in targets]
            for t, value in enumerate(values):
                prediction[t, part] = value.detach()
            for term in gradients(values, leaf):
                term.add_to(multipliers[:, part])
    return with_references(multipliers, refs, prediction)


def gradients(values: Sequence[Tensor], leaf: Tensor) -> Iterator[Term]:
    """Gradients of T values (B,) with respect to ``leaf``; the graph is freed with the last term.

    Raises
    ------
    ModelError
        When a value does not depend on the sequence in a way that can be differentiated.
    """
    reached: set[int] = set()
    for term in backward_terms(values, leaf):
        reached.update(range(len(values)) if term.target is None else [term.target])
        yield term
    missing = next((t for t in range(len(values)) if t not in reached), None)
    if missing is not None:
        raise ModelError(
            f"target {missing} has no gradient with respect to the sequence; expected a differentiable "
            "model (is there a detach, argmax or no_grad inside?); ISM works without gradients"
        )


def checked(values: Tensor, n: int) -> Tensor:
    """Return a target's values, which have to be (n,)."""
    if values.shape != (n,):
        raise ModelError(
            f"target: found shape {tuple(values.shape)} for {n} sequences; expected one number each, ({n},)"
        )
    return values


def with_references(multipliers: Tensor, refs: Tensor, prediction: Tensor) -> BatchResult:
    """Result of a method whose multipliers (T, n, 4, L) do not depend on the reference."""
    products = multipliers * refs.to(multipliers.dtype).mean(1)
    return BatchResult(multipliers, products.sum(2), prediction, products=products)


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices of ``size`` that cover 0 to n; one slice when ``size`` is 0."""
    size = size if size > 0 else max(n, 1)
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def pick(values: Tensor, rows: Tensor) -> Tensor:
    """``values[rows]``; row numbers on the host are copied to a GPU without blocking."""
    return values[rows.to(values.device, non_blocking=True)]


def take_rows(output: Any, rows: Tensor) -> Any:
    """Rows of every tensor in a model's output (tensor, tuple, list or dict)."""
    return map_rows(lambda values: pick(values, rows), output)


@contextmanager
def recurrent_backward(x: Tensor) -> Iterator[None]:
    """Make gradients of LSTMs and GRUs in evaluation mode possible on a GPU, where cuDNN refuses them."""
    if not x.is_cuda:
        yield
        return
    with _WithoutCudnnForRecurrent():
        yield


class _WithoutCudnnForRecurrent(torch.overrides.TorchFunctionMode):
    """Turns cuDNN off around the recurrent calls only."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
            with torch.backends.cudnn.flags(enabled=False):
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
