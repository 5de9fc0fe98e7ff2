"""What is rounded or thinned out: errors as stated, the largest contributions, arrays as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.gate import Gate
from cislex.chunks.thinning import CLEARED, Storage, largest, rounded
from cislex.errors import ConfigError, StorageError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from stored_project import N, Project, contributions

ERRORS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
WIDE = ("hypothetical", "baseline", "fold_spread", "reference_spread")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("thinned"))


@pytest.mark.parametrize("kind", ERRORS)
@given(values=numbers.arrays(np.float32, 20, elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_rounding_has_the_stated_error_at_every_size(kind: str, values: np.ndarray) -> None:
    found = rounded(values, CLEARED[kind])
    least = 2.0**-126  # below it float32 itself has fewer digits
    bound = ERRORS[kind] * np.maximum(np.abs(values.astype(float)), least)
    assert (np.abs(found.astype(float) - values) <= bound).all()
    np.testing.assert_array_equal(rounded(found, CLEARED[kind]), found)


def test_rounding_is_that_of_float16_where_float16_has_the_range() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=10_000) * np.exp(rng.normal(size=10_000))).astype(np.float32)
    values = values[np.abs(values) > 1e-4]
    np.testing.assert_array_equal(rounded(values, CLEARED["float16"]), values.astype(np.float16))


@given(
    sizes=numbers.arrays(np.float32, (3, 12), elements=st.sampled_from([0.0, 1.0, 2.0, 3.5])),
    keep=st.integers(1, 14),
)
def test_the_largest_are_kept_and_of_equal_ones_the_first(sizes: np.ndarray, keep: int) -> None:
    kept = largest(sizes, keep)
    for row, own in zip(sizes, kept, strict=True):
        expected = np.zeros(12, bool)
        expected[np.argsort(-row, kind="stable")[:keep]] = True
        np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize(("kind", "folds"), [("float16", 1), ("float16", 2), ("bfloat16", 1)])
def test_rounded_files_differ_by_the_stated_error_and_take_less_space(
    project: Project, tmp_path: Path, kind: str, folds: int
) -> None:
    plain = project.run(tmp_path / "plain", folds=folds, uncertainty=True)
    found = project.run(tmp_path / kind, folds=folds, uncertainty=True, storage={"round_to": kind})
    largest_error = 0.0
    for name in sorted({*WIDE} & plain.keys()):
        assert found[name].dtype == np.float32
        error = np.abs(found[name].astype(float) - plain[name])
        assert (error <= ERRORS[kind] * np.abs(plain[name])).all()
        largest_error = max(largest_error, float(error.max()))
    assert largest_error > 0
    for name in ("prediction", "delta"):
        np.testing.assert_array_equal(found[name], plain[name])
    assert found["attrs"]["round_to"] == kind
    sizes = []
    for folder in ("plain", kind):
        with h5py.File(tmp_path / folder / "a.h5") as handle:
            sizes.append(handle["hypothetical"].id.get_storage_size())
    assert sizes[1] < 0.65 * sizes[0]


@pytest.mark.parametrize("options", [{"folds": 1}, {"folds": 2}, {"folds": 2, "window": (5, 50)}])
def test_the_largest_contributions_of_the_mean_are_kept(
    project: Project, tmp_path: Path, options: dict[str, Any]
) -> None:
    plain = project.run(tmp_path / "plain", uncertainty=True, **options)
    found = project.run(tmp_path / "thin", uncertainty=True, storage={"keep": 7}, **options)
    sizes = np.abs(contributions(plain))
    kept = largest(sizes, 7)
    for name in sorted({*WIDE} & plain.keys()):
        mask = kept[:, None] if plain[name].ndim == 3 else kept
        np.testing.assert_array_equal(found[name], plain[name] * mask)
        assert not np.signbit(found[name][found[name] == 0]).any(), "-0 is not all zero bits"
    np.testing.assert_array_equal(found["sequences"], plain["sequences"])
    np.testing.assert_allclose(found["kept_share"], (sizes * kept).sum(1) / sizes.sum(1), rtol=1e-5)
    assert found["attrs"]["keep"] == 7
    for name in ("prediction", "delta", "window_share"):
        if name in plain:
            np.testing.assert_allclose(found[name], plain[name], atol=1e-6)
    assert (np.abs(contributions(found)) > 0).sum() == 7 * N


def test_regions_of_one_fold_each_are_thinned_out_once(project: Project, tmp_path: Path) -> None:
    """Folds that held out a chromosome each attribute their own regions; the file is that of the one fold."""
    held_out = {"fold_0": ["chr1"], "fold_1": []}
    found = project.run(tmp_path / "two", folds=2, held_out=held_out, storage={"keep": 9})
    expected = project.run(tmp_path / "one", storage={"keep": 9})
    np.testing.assert_array_equal(found["hypothetical"], expected["hypothetical"])
    np.testing.assert_array_equal(found["kept_share"], expected["kept_share"])
    assert expected["kept_share"].max() < 1


def test_chunks_that_were_stored_otherwise_are_refused(project: Project, tmp_path: Path) -> None:
    for name, storage, asked in (("all", None, {"keep": 5}), ("thin", {"keep": 5}, None)):
        project.run(tmp_path / name, storage=storage)
        made = {"fold_0": [tmp_path / name / "fold_0" / f"{i}.h5" for i in range(2)]}
        with pytest.raises(StorageError, match=r"0\.h5: keeps (all|the largest) .* delete the chunks"):
            aggregate_chunks(
                project.sequences, made, tmp_path / "b.h5", None, target="t", gate=Gate(), storage=asked
            )


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="round_to: found 'float8', expected one of float32, float16"):
        Storage(round_to="float8")
    with pytest.raises(ConfigError, match="keep: found 0"):
        Storage(keep=0)
