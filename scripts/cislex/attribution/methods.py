"""Attribution methods as frozen data: what to compute, never how.

Each method is carried out on one batch by ``batch_multipliers`` of one module:
``deeplift`` (DeepLiftShap), ``gradients`` (Saliency, TISM), ``integrated`` (IntegratedGradients,
ExpectedGradients) and ``ism`` (ISM).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cislex.attribution.references import DinucleotideShuffle, References, Uniform, Zeros
from cislex.errors import ConfigError


def _choose(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}: found {value!r}, expected one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Saliency:
    """The gradient of the target; one forward and one backward.

    ``references`` only chooses the baseline of ``hypothetical``: uniform gives the corrected gradient.

    Examples
    --------
    >>> gradient = attribute(model, sequences, Saliency()).local
    >>> gradient.shape
    torch.Size([4, 4, 60])
    """

    references: References = field(default_factory=Uniform)
    name: ClassVar[str] = "saliency"
    complete: ClassVar[bool] = False


@dataclass(frozen=True)
class TISM:
    """Taylor in-silico mutagenesis: the gradient read through ``Attribution.tism``.

    Examples
    --------
    >>> attribute(model, sequences, TISM()).tism.shape
    torch.Size([4, 4, 60])
    """

    references: References = field(default_factory=Uniform)
    name: ClassVar[str] = "tism"
    complete: ClassVar[bool] = False


@dataclass(frozen=True)
class IntegratedGradients:
    """Gradients averaged along the straight line from reference to example.

    ``rule`` is ``gauss_legendre``, ``trapezoid`` (``steps`` + 1 points, both ends included) or
    ``adaptive``, which doubles the steps until the relative delta is at most ``tolerance``.

    Examples
    --------
    >>> method = IntegratedGradients(rule="adaptive", references=Uniform())
    >>> attribute(model, sequences, method).contributions.shape
    torch.Size([4, 4, 60])
    """

    steps: int = 50
    rule: str = "gauss_legendre"
    references: References = field(default_factory=Zeros)
    tolerance: float = 1e-3
    name: ClassVar[str] = "integrated_gradients"
    complete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _choose("IntegratedGradients.rule", self.rule, ("gauss_legendre", "trapezoid", "adaptive"))
        if self.steps < 1:
            raise ConfigError(f"IntegratedGradients.steps: found {self.steps}, expected at least 1")
        if not self.tolerance > 0:
            raise ConfigError(f"IntegratedGradients.tolerance: found {self.tolerance}, expected above 0")


@dataclass(frozen=True)
class ExpectedGradients:
    """Gradients at one random point on the line to each of many references (GradientSHAP).

    Examples
    --------
    >>> method = ExpectedGradients(DinucleotideShuffle(n=50))
    >>> attribute(model, sequences, method).contributions.shape
    torch.Size([4, 4, 60])
    """

    references: References = field(default_factory=DinucleotideShuffle)
    seed: int = 0
    name: ClassVar[str] = "expected_gradients"
    complete: ClassVar[bool] = False


@dataclass(frozen=True)
class ISM:
    """In-silico mutagenesis: f(x with base a at i) − f(x), for i in [start, end), end included as given.

    ``end=None`` is the last base. Positions outside the window get zero.

    Examples
    --------
    >>> effects = attribute(model, sequences, ISM(start=20, end=40)).tism
    >>> bool((effects[:, :, :20] == 0).all())
    True
    """

    start: int = 0
    end: int | None = None
    references: References = field(default_factory=Uniform)
    name: ClassVar[str] = "ism"
    complete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ConfigError(
                f"ISM window: found start={self.start}, end={self.end}; expected 0 <= start < end (half-open)"
            )


@dataclass(frozen=True)
class DeepLiftShap:
    """DeepLIFT multipliers averaged over references.

    Parameters
    ----------
    references
        Where the differences start from.
    rule
        ``rescale``; ``reveal_cancel``; or ``genomics_default`` (Rescale after convolutions,
        RevealCancel after dense layers).
    unknown_ops
        ``error`` (default) or ``integrate``: what to do with an operation without a rule.
        ``integrate`` averages its own Jacobian along the straight line, and says so in the notes.
    rules
        Rules that override or add to the built-in ones, by operation name, for example
        ``{"my_activation": "elementwise"}``; values are ``elementwise``, ``piecewise_linear``,
        ``integrate``, ``linear`` or a callable (see docs/methods.md).

    Examples
    --------
    >>> method = DeepLiftShap(DinucleotideShuffle(n=10), rule="reveal_cancel")
    >>> attribute(model, sequences, method).delta.shape
    torch.Size([4, 10])
    """

    references: References = field(default_factory=DinucleotideShuffle)
    rule: str = "rescale"
    unknown_ops: str = "error"
    rules: Mapping[str, str | Callable[..., Any]] | None = None
    name: ClassVar[str] = "deep_lift_shap"
    complete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _choose("DeepLiftShap.rule", self.rule, ("rescale", "reveal_cancel", "genomics_default"))
        _choose("DeepLiftShap.unknown_ops", self.unknown_ops, ("error", "integrate"))


Method = Saliency | TISM | IntegratedGradients | ExpectedGradients | ISM | DeepLiftShap
