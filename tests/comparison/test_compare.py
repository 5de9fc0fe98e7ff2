"""Tables of a comparison: exact cases, blocks and missing regions, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cislex.comparison import compare
from cislex.comparison.compare import Analysis, ComparisonFiles, compare_methods
from cislex.comparison.scores import Source
from cislex.errors import ConfigError, InputError
from comparison_fixtures import LENGTH, make_codes, one_hot, write_attributions
from scipy import stats

NAMES = ("comparison", "regions", "methods", "curves", "words", "logos")
CODES = make_codes(6)
FIRST, SECOND = np.random.default_rng(4).normal(size=(2, 6, 4, LENGTH)).astype("f4")


def run(folder: Path, analyses: Mapping[str, Path | Analysis], **options: Any) -> dict[str, pd.DataFrame]:
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}.tsv{'.gz' if name == 'regions' else ''}" for name in NAMES}
    given = {
        name: a if isinstance(a, Analysis) else Analysis({"t": Source(a)}, {"method": name})
        for name, a in analyses.items()
    }
    compare_methods(given, ComparisonFiles(**paths), **{"top": (5,), **options})
    return {name: pd.read_csv(path, sep="\t") for name, path in paths.items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    flat = SECOND.copy()
    flat[2] = 0.5
    delta = np.array([1, 2, 3, 4, 5, 9]) * 1e-4
    kept = [0, 2, 3, 5]
    return {
        "first": write_attributions(folder / "1.h5", CODES, FIRST, delta=delta),
        "same": write_attributions(folder / "2.h5", CODES, FIRST),
        "second": write_attributions(folder / "3.h5", CODES, flat),
        "fewer": write_attributions(folder / "4.h5", CODES[kept], FIRST[kept], rows=kept),
        "raw": write_attributions(
            folder / "5.h5", CODES, FIRST - SECOND[:, 0][:, None], baseline=SECOND[:, 0]
        ),
    }


def test_every_pair_has_its_median_and_counts_regions_without_variance(
    files: dict[str, Path], tmp_path: Path
) -> None:
    found = run(tmp_path, {name: files[name] for name in ("first", "same", "second")}, yardstick="second")
    table = found["comparison"].set_index(["analysis_a", "analysis_b"])
    assert len(table) == 3
    same = table.loc[("first", "same")]
    for column in (
        "contributions.pearson",
        "hypothetical.spearman",
        "hypothetical.top_5",
        "contributions.cosine",
    ):
        assert same[column] == same[f"{column}_q1"] == 1
    assert same["contributions.undefined"] == 0
    apart = table.loc[("first", "second")]
    assert apart[["regions", "contributions.undefined", "hypothetical.undefined"]].tolist() == [6, 1, 1]
    each = [stats.pearsonr(FIRST[i].ravel(), SECOND[i].ravel())[0] for i in (0, 1, 3, 4, 5)]
    assert apart["hypothetical.pearson"] == pytest.approx(np.median(each), abs=1e-5)
    regions = found["regions"]
    assert len(regions) == 18
    own = regions[(regions["analysis_a"] == "first") & (regions["analysis_b"] == "second")]
    assert own["name"].tolist() == [f"r{i}" for i in range(6)]
    assert own["contributions.pearson"].isna().tolist() == [i == 2 for i in range(6)]
    methods = found["methods"].set_index("analysis")
    assert methods.loc["second", "yardstick.hypothetical"] == 1
    assert methods.loc["first", "yardstick.hypothetical"] == pytest.approx(apart["hypothetical.pearson"])
    assert methods.loc["first", ["median_delta", "max_delta"]].tolist() == pytest.approx([3.5e-4, 9e-4])
    assert methods.loc["same", ["median_delta", "seconds_per_region", "planted_auprc"]].isna().all()


def test_blocks_change_nothing(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {name: files[name] for name in ("first", "second")}
    whole = run(tmp_path / "a", chosen)
    monkeypatch.setattr(compare, "BLOCK_BYTES", 1)
    for name, table in run(tmp_path / "b", chosen).items():
        pd.testing.assert_frame_equal(table, whole[name])


def test_regions_that_an_analysis_lacks_are_left_out(files: dict[str, Path], tmp_path: Path) -> None:
    found = run(tmp_path, {"fewer": files["fewer"], "first": files["first"]})
    assert found["comparison"][["regions", "contributions.pearson"]].iloc[0].tolist() == [4, 1]
    assert found["regions"]["row"].tolist() == [0, 2, 3, 5]


def test_multipliers_can_be_compared_without_correction(files: dict[str, Path], tmp_path: Path) -> None:
    analyses = {
        "corrected": Analysis({"t": Source(files["raw"])}, {}),
        "raw": Analysis({"t": Source(files["raw"], uncorrected=True)}, {}),
        "first": Analysis({"t": Source(files["first"])}, {}),
    }
    table = run(tmp_path, analyses)["comparison"].set_index(["analysis_a", "analysis_b"])
    assert table.loc[("raw", "first"), "hypothetical.pearson"] == pytest.approx(1, abs=1e-6)
    assert table.loc[("corrected", "first"), "hypothetical.pearson"] < 0.9


def test_logos_are_of_the_strongest_regions(files: dict[str, Path], tmp_path: Path) -> None:
    logos = run(tmp_path, {"first": files["first"], "second": files["second"]}, logos=2)["logos"]
    own = (FIRST * one_hot(CODES)).sum(1)
    strongest = np.sort(np.argsort(-np.abs(own).sum(1))[:2])
    assert sorted(set(logos["row"])) == strongest.tolist()
    part = logos[(logos["analysis"] == "first") & (logos["row"] == strongest[0])]
    assert part["contribution"].to_numpy() == pytest.approx(own[strongest[0]], rel=1e-5)
    assert "".join(part["base"]) == "".join("ACGT"[code] for code in CODES[strongest[0]])


def test_the_localisation_of_planted_bases(tmp_path: Path) -> None:
    hypothetical = np.zeros((6, 4, LENGTH))
    hypothetical[:, :, 3:6] = -2
    hypothetical[3, :, 10] = 5
    write_attributions(tmp_path / "a.h5", CODES, hypothetical)
    write_attributions(tmp_path / "b.h5", CODES, FIRST)
    rows = [("chr1", 100 * i + 3, 100 * i + 6, "+", "m", "A", "own", True, "p") for i in range(5)]
    columns = ["chrom", "start", "end", "strand", "motif", "name", "assay", "functional", "peak"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "truth.tsv", sep="\t", index=False)
    chosen = {"a": tmp_path / "a.h5", "b": tmp_path / "b.h5"}
    methods = run(tmp_path, chosen, truth=tmp_path / "truth.tsv")["methods"].set_index("analysis")
    assert methods.loc["a", ["planted_auprc", "planted_regions"]].tolist() == [1, 5]
    assert methods.loc["a", "planted_share"] == pytest.approx(3 / LENGTH)
    assert methods.loc["b", "planted_auprc"] < 0.7


def test_no_region_in_common_makes_empty_tables(files: dict[str, Path], tmp_path: Path) -> None:
    other = write_attributions(tmp_path / "o.h5", CODES[[1]], FIRST[[1]], rows=[1])
    found = run(tmp_path, {"fewer": files["fewer"], "other": other})
    assert found["comparison"]["regions"].tolist() == [0]
    assert found["comparison"]["contributions.pearson"].isna().all()
    assert len(found["regions"]) == len(found["logos"]) == 0


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("one", ConfigError, "expected two analyses or more"),
        ("yardstick", ConfigError, "yardstick ism"),
        ("genome", InputError, "its sequences are not those of"),
        ("top", ConfigError, "top: found 99; a region has 24 scores"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    files: dict[str, Path], tmp_path: Path, case: str, error: type[Exception], message: str
) -> None:
    chosen = {"first": files["first"], "second": files["second"]}
    if case == "one":
        del chosen["second"]
    if case == "genome":
        chosen["second"] = write_attributions(tmp_path / "x.h5", CODES, FIRST, source="another")
    options = {"yardstick": {"yardstick": "ism"}, "top": {"top": (99,)}}.get(case, {})
    with pytest.raises(error, match=message):
        run(tmp_path, chosen, **options)
    assert not list(tmp_path.glob("*.tsv*"))
