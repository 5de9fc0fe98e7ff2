"""Arrays as people have them give what a plain copy gives, or a named error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attribution_models as models
import numpy as np
import pytest
import torch
from cislex.attribution import (
    DeepLiftShap,
    DinucleotideShuffle,
    FixedReferences,
    Saliency,
    attribute,
    attribute_positions,
    scrambles,
)
from cislex.attribution.arrays import to_tensor
from cislex.errors import InputError
from torch import Tensor, nn

X = models.one_hot(3, 60).numpy()


def read_only(array: Any) -> Any:
    array = array.copy()
    array.setflags(write=False)
    return array


FORMS: dict[str, Callable[[Any], Any]] = {
    "backwards": lambda a: a[::-1, ..., ::-1].copy()[::-1, ..., ::-1],
    "big-endian": lambda a: a.astype(">f8"),
    "long double": lambda a: a.astype(np.longdouble),
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_array_is_the_same_numbers(form: str) -> None:
    given = np.random.default_rng(0).integers(0, 9, (3, 4, 5)).astype(np.float64)
    assert torch.equal(to_tensor(FORMS[form](given)).double(), torch.from_numpy(given))


@pytest.mark.parametrize("form", FORMS)
def test_sequences_references_seeds_and_extra_inputs_in_any_form(form: str) -> None:
    class TwoInputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(4, 2, 5)

        def forward(self, x: Tensor, extra: Tensor) -> Tensor:
            return torch.relu(self.conv(x)).mean(2) * extra.to(x.dtype).sum(1, keepdim=True)

    changed = FORMS[form]
    references, extra, seeds = (
        np.stack([X[:, ::-1], X[:, :, ::-1]], 1),
        np.arange(6.0).reshape(3, 2),
        [5, 6, 7],
    )
    model = TwoInputs()
    for made in (references, lambda x: references[: len(x)]):
        expected = attribute(model, X, DeepLiftShap(FixedReferences(references)), extra_inputs=[extra])
        given = (lambda x, made=made: changed(made(x))) if callable(made) else FixedReferences(changed(made))
        found = attribute(model, changed(X), DeepLiftShap(given), extra_inputs=[changed(extra)])
        assert torch.equal(found.multipliers, expected.multipliers)
    method = DeepLiftShap(DinucleotideShuffle(n=2))
    expected = attribute(model, X, method, seeds=seeds, extra_inputs=[extra])
    found = attribute(model, X, method, seeds=np.array(seeds[::-1])[::-1], extra_inputs=[extra])
    assert torch.equal(found.multipliers, expected.multipliers)


def test_positions_and_windows_backwards() -> None:
    profile = models.Wrapped(nn.ReLU()).conv
    found = attribute_positions(profile, X, Saliency(), index=0, positions=np.array([9, 4])[::-1])
    assert found.positions.tolist() == [4, 9]
    windows = np.array([[5, 45], [3, 20]])
    one, other = (scrambles(models.trap("gate"), X, item, n=2).effects for item in (windows, windows[::-1]))
    assert torch.equal(one, other.flip(1))


@pytest.mark.parametrize("wrong", [X.astype(object), X.astype(str), X.view([("base", "u1")])])
def test_what_is_no_number_is_named(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"sequences: found ndarray of"):
        attribute(models.trap("gate"), wrong, Saliency())
    with pytest.raises(InputError, match=r"FixedReferences: found ndarray of"):
        FixedReferences(wrong)
    with pytest.raises(InputError, match="complex64, expected real"):
        FixedReferences(torch.zeros(1, 4, 60, dtype=torch.complex64))


@pytest.mark.parametrize(
    "stops",
    [
        torch.nan_to_num,
        lambda h: h + torch.nan_to_num(h.flip(2)),
        lambda h: torch.where(h.isnan(), 0.0, h),
        lambda h: h.masked_fill(h != h, 0.0),
    ],
)
@pytest.mark.parametrize("method", [Saliency(), DeepLiftShap(DinucleotideShuffle(n=2))])
def test_positions_of_a_model_that_stops_nan_equal_those_of_whole_sequences(stops: Any, method: Any) -> None:
    class Stopping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(4, 1, 5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(stops(self.conv(x)))

    found, whole = (
        attribute_positions(Stopping(), X, method, positions=[3, 30], crop=crop) for crop in (True, False)
    )
    assert whole.contributions.abs().max() > 0.01
    torch.testing.assert_close(found.contributions, whole.contributions, rtol=1e-5, atol=1e-7)
