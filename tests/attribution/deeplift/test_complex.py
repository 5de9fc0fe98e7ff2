"""Complex numbers, Fourier transforms, and operations whose Jacobian jumps."""

from __future__ import annotations

from collections.abc import Callable

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.attribution.deeplift.survey import survey_operations
from cislex.errors import CislexError, ModelError, UnsupportedOperationError
from torch import Tensor, nn
from torch.nn import functional

X = models.one_hot(2, 40)
METHOD = DeepLiftShap(DinucleotideShuffle(n=2))


def long_convolution(h: Tensor, filters: Tensor | None = None) -> Tensor:
    """As Hyena has them: a product of spectra, with a filter as long as the sequence."""
    length = h.shape[-1]
    if filters is None:
        filters = torch.sin(torch.arange(length).to(h)).expand(h.shape[1], -1)
    spectra = torch.fft.rfft(h, n=2 * length) * torch.fft.rfft(filters, n=2 * length)
    return torch.fft.irfft(spectra, n=2 * length)[..., :length]


def cross_spectrum(h: Tensor) -> Tensor:
    z = torch.fft.rfft(h)
    return torch.einsum("bcl,bdl->bcd", z, z.conj()).real.mean(-1)


def pair(h: Tensor) -> tuple[Tensor, Tensor]:
    return torch.complex(h, h.flip(-1)), torch.complex(h.roll(3, -1), -h)


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "convolution by FFT": long_convolution,
    "gated convolution by FFT": lambda h: torch.tanh(h) * long_convolution(h * h),
    "convolution with activations": lambda h: long_convolution(h, torch.tanh(h)),
    "real part": lambda h: torch.fft.fft(h).real.relu(),
    "amplitude": lambda h: torch.fft.rfft(h).abs()[..., :20],
    "power": lambda h: torch.fft.rfft(h)[..., :20].abs().square(),
    "view_as_real": lambda h: torch.view_as_real(torch.fft.rfft(h)).square().sum(-1),
    "view_as_complex": lambda h: torch.view_as_complex(torch.stack([h, h * h], -1)).imag,
    "product with a conjugate": lambda h: (pair(h)[0] * pair(h)[1].conj()).real,
    "matrix product": lambda h: (pair(h)[0] @ pair(h)[1].mH).imag.mean(-1),
    "cross spectrum": cross_spectrum,
    "quotient": lambda h: (pair(h)[0] / (pair(h)[1] + 9)).real,
    "real times complex": lambda h: (h * pair(h)[0]).imag,
    "exponential": lambda h: torch.exp(torch.complex(h * 0.1, h)).real,
    "angle": lambda h: torch.complex(h - 0.5, h.flip(-1)).angle(),
    "phase of a spectrum": lambda h: torch.fft.rfft(h).angle()[..., :20],
    "sign": lambda h: torch.sgn(pair(h)[0]).real,
    "logarithm across its cut": lambda h: torch.complex(h - 1, h.flip(-1)).log().imag,
    "root across its cut": lambda h: torch.complex(h - 1, h.flip(-1)).sqrt().real,
    "reciprocal": lambda h: (pair(h)[0] + 0.3).reciprocal().imag,
    "complex power": lambda h: ((pair(h)[0] + 0.1) ** (1.5 + 0.2j)).real,
    "power of two activations": lambda h: ((pair(h)[0] + 1) ** (0.2 * pair(h)[1])).real,
    "arc tangent across its cut": lambda h: torch.atan(2 * pair(h)[0]).real,
    "thresholded size": lambda h: (
        (functional.relu(pair(h)[0].abs() - 0.1) * (1j * pair(h)[0].angle()).exp()).real
    ),
    "normalised": lambda h: functional.normalize(pair(h)[0], dim=1).real,
    "variance": lambda h: (pair(h)[0].var(-1) + pair(h)[0].std(-1)).unsqueeze(-1),
    "size of two parts": lambda h: torch.hypot(h, h.flip(-1)),
    "angle of two parts": lambda h: torch.atan2(h, h.flip(-1)),
    "polar": lambda h: torch.polar(h.exp(), h).real,
    "fft2, shifted": lambda h: torch.fft.fftshift(torch.fft.fft2(h), dim=(1, 2)).abs().mean(-1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_complex_numbers_are_complete_and_float32_is_near_float64(name: str) -> None:
    model = models.OneOperation(OPERATIONS[name])
    truth = attribute(model, X, METHOD, precision="float64")
    assert truth.max_relative_delta is not None
    assert truth.max_relative_delta.max() < 1e-9
    assert "integrated" not in truth.notes
    error = (attribute(model, X, METHOD).hypothetical - truth.hypothetical).abs().max()
    assert error <= 1e-4 * truth.hypothetical.abs().max()


def test_a_convolution_by_fourier_transform_is_a_convolution() -> None:
    class Direct(nn.Module):
        def forward(self, h: Tensor) -> Tensor:
            length = h.shape[-1]
            filters = torch.sin(torch.arange(length).to(h)).flip(0).expand(h.shape[1], 1, -1)
            return functional.conv1d(functional.pad(h, (length - 1, 0)), filters, groups=h.shape[1])

    torch.manual_seed(0)
    model = models.OneOperation(long_convolution)
    found = attribute(model, X, METHOD, precision="float64").hypothetical
    model.operation = Direct()
    wanted = attribute(model, X, METHOD, precision="float64").hypothetical
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


def test_unknown_operations_on_complex_numbers_keep_the_conjugate() -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=2), unknown_ops="integrate", rules={"mul": "integrate"})
    found = attribute(models.OneOperation(OPERATIONS["product with a conjugate"]).double(), X, method)
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() < 1e-9


class Spectral(nn.Module):
    """Complex parameters, as in state-space models."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 21, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(torch.fft.irfft(torch.fft.rfft(x) * self.weight)).flatten(1).mean(1, keepdim=True)


@pytest.mark.parametrize("precision", [None, "float64"])
def test_complex_parameters_stay_complex(precision: str | None) -> None:
    model = Spectral()
    found = attribute(model, X, METHOD, precision=precision)
    assert model.weight.dtype == torch.complex64
    with torch.no_grad():
        torch.testing.assert_close(found.prediction.float(), model(X.float())[:, 0])
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() < 1e-4


def test_a_complex_target_is_named() -> None:
    class Ends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.rfft(x).flatten(1)

    with pytest.raises(CislexError, match="complex"):
        attribute(Ends(), X, METHOD)


ORDERED: dict[str, Callable[[Tensor], Tensor]] = {
    "sort": lambda h: h.sort(-1).values,
    "topk": lambda h: h.topk(5, -1).values,
    "median": lambda h: h.median(-1).values,
    "kthvalue": lambda h: h.kthvalue(3, -1).values,
    "quantile": lambda h: h.quantile(0.3, -1),
    "cummax": lambda h: h.cummax(-1).values,
    "mode": lambda h: h.mode(-1).values,
}


@pytest.mark.parametrize("unknown", ["error", "integrate"])
@pytest.mark.parametrize("name", ORDERED)
def test_what_orders_activations_is_refused_without_advice_that_fails(name: str, unknown: str) -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=2), unknown_ops=unknown)
    model = models.OneOperation(ORDERED[name])
    with pytest.raises(UnsupportedOperationError, match=rf"^{name}\(.*test_complex.*orders activ") as caught:
        attribute(model, X, method)
    assert "unknown_ops" not in str(caught.value)
    use = next(use for use in survey_operations(model, X, method) if use.operation == name)
    assert not use.known
    assert "unknown_ops" not in use.rule


def test_an_unknown_operation_that_jumps_is_named_and_not_averaged() -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=2), rules={"remainder": "integrate"})
    with pytest.raises(UnsupportedOperationError, match=r"remainder.*has jumps or many kinks"):
        attribute(models.OneOperation(lambda h: torch.remainder(h, 0.5)), X, method)


ARGUMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "std(axis)": lambda h: h.std(axis=-1),
    "amax(axis)": lambda h: torch.amax(h, axis=-1),
    "max(axis, keepdims)": lambda h: h.max(axis=-1, keepdims=True).values,
    "aminmax": lambda h: (lambda both: both.max - both.min.square())(h.aminmax(dim=-1)),
    "instance_norm in torch's order": lambda h: torch.instance_norm(
        h, torch.linspace(1, 2, 8).to(h), torch.ones(8).to(h), None, None, True, 0.1, 1e-5, False
    ).square(),
    "instance_norm": lambda h: functional.instance_norm(h, weight=torch.linspace(1, 2, 8).to(h)).square(),
    "float_power": lambda h: h.float_power(2).to(h),
    "frac": torch.frac,
    "fmod": lambda h: torch.fmod(h, 0.7),
    "softplus with a threshold": lambda h: functional.softplus(h, 1.0, 0.5),
    "softplus by names": lambda h: functional.softplus(h, beta=2.0, threshold=1.0),
    "softshrink": lambda h: functional.softshrink(h, 0.2),
    "leaky_relu": lambda h: functional.leaky_relu(h, 0.3),
    "elu": lambda h: functional.elu(h, 0.5, False),
    "celu": lambda h: torch.celu(h, 0.7),
    "clamp by names": lambda h: torch.clamp(h, max=0.3, min=-0.2),
    "gelu": lambda h: functional.gelu(h, approximate="tanh"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_count_wherever_they_stand(name: str) -> None:
    model = models.OneOperation(ARGUMENTS[name])
    truth = attribute(model, X, METHOD, precision="float64")
    assert truth.max_relative_delta is not None
    assert truth.max_relative_delta.max() < 1e-9
    if name not in ("frac", "fmod"):  # whose jumps rounding may cross
        error = (attribute(model, X, METHOD).hypothetical - truth.hypothetical).abs().max()
        assert error <= 1e-4 * truth.hypothetical.abs().max()


@pytest.mark.parametrize(("beta", "threshold", "at"), [(1.0, 0.5, 1.0), (2.0, 1.0, 0.7), (1.0, 2.0, 1.0)])
def test_softplus_between_close_points_has_the_slope_of_its_own_threshold(
    beta: float, threshold: float, at: float
) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            h = at + 1e-7 * (x * torch.arange(4).to(x).unsqueeze(1)).sum((1, 2))
            return functional.softplus(h, beta, threshold).unsqueeze(1)

    found = attribute(Model(), X, METHOD, precision="float64").multipliers
    slope = 1.0 if at * beta > threshold else torch.sigmoid(torch.tensor(at * beta)).item()
    wanted = 1e-7 * slope * torch.arange(4).double().reshape(1, 4, 1).expand(found.shape)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=0)


def test_a_rounded_quotient_is_refused() -> None:
    with pytest.raises(ModelError, match="rounds a quotient"):
        attribute(models.OneOperation(lambda h: torch.div(h, 0.5, rounding_mode="floor")), X, METHOD)


class WithConstants(nn.Module):
    """A function of an activation and a further input, which is the same for example and reference."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.function, self.head = nn.Conv1d(4, 8, 7, padding=3), function, nn.Linear(8, 1)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        return self.head(self.function(self.conv(x) * 2, given).mean(-1))


CONSTANTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "clamp(min)": lambda h, c: h.clamp(min=c),
    "clamp": lambda h, c: torch.clamp(h, c - 1, c + 1),
    "maximum": torch.maximum,
    "hypot": torch.hypot,
    "atan2": lambda h, c: torch.atan2(h, c.abs() + 1),
    "pow": lambda h, c: h.abs().pow(c.abs() + 0.5),
    "pow, base": lambda h, c: torch.pow(c.abs() + 0.5, h),
    "xlogy": lambda h, c: torch.xlogy(c.abs(), h.square() + 0.1),
    "remainder": lambda h, c: torch.remainder(h, c.abs() + 0.5),
    "remainder of a constant": lambda h, c: torch.remainder(5 * c, h.square() + 3),
    "where": lambda h, c: torch.where(c > 0, h.relu(), h.tanh()),
}


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel", "genomics_default"])
@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_of_each_row_stay_with_their_row(name: str, rule: str) -> None:
    torch.manual_seed(1)
    given = torch.randn(3, 8, 1).double()
    method = DeepLiftShap(DinucleotideShuffle(n=2), rule=rule)
    found = attribute(
        WithConstants(CONSTANTS[name]).double(), models.one_hot(3, 40), method, extra_inputs=(given,)
    )
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() < 1e-9


@pytest.mark.parametrize("name", ["exp", "sqrt", "log", "sin", "tanh", "reciprocal", "square", "sigmoid"])
def test_the_quotient_is_the_average_of_the_derivative_where_no_cut_lies_between(name: str) -> None:
    model = models.OneOperation(lambda h: getattr(torch.complex(h + 4, h.flip(-1) / 4), name)().real).double()
    found, averaged = (
        attribute(model, X, DeepLiftShap(DinucleotideShuffle(n=2), rules=rules)).hypothetical
        for rules in (None, {name: "integrate"})
    )
    torch.testing.assert_close(found, averaged, rtol=1e-6, atol=1e-9 * float(averaged.abs().max()))


def test_angles_and_sizes_of_zero_are_finite() -> None:
    def parts(h: Tensor) -> Tensor:
        z = torch.complex(functional.relu(h - 0.5), functional.relu(h.flip(-1) - 0.5))
        return z.angle() + z.abs() + torch.atan2(z.imag, z.real)

    found = attribute(models.OneOperation(parts), X, METHOD, precision="float64")
    assert torch.isfinite(found.hypothetical).all()
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() < 1e-9
