"""Contrasts of two targets at hits: exact sums on every strand, no hit twice, errors, words, units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cislex.comparison import contrast
from cislex.comparison.contrast import ContrastFiles, Side, contrast_hits
from cislex.comparison.scores import Scores, Source
from cislex.errors import InputError
from cislex.files.indexed_text import write_indexed_bed
from comparison_fixtures import LENGTH, make_codes, one_hot, write_attributions
from scipy import stats

FOLDS, N = 3, 12
CODES = make_codes(N)
#: Contributions of each side, fold, region and letter.
RNG = np.random.default_rng(2)
FIRST, SECOND = RNG.normal(0, 1, (2, FOLDS, N, 4, LENGTH))


def regions_around(*, direct: bool = False) -> pd.DataFrame:
    """Strands in turn, each region overlapping the one before, and three regions apart."""
    start = np.where(np.arange(N) < N - 3, 10 * np.arange(N), 1000 * np.arange(N))
    names = [f"r{i // 2}" for i in range(N)]  # two regions share each name
    if direct:
        return pd.DataFrame({"chrom": "", "start": 0, "end": LENGTH, "name": names, "strand": "."})
    strand = np.where(np.arange(N) % 2, "-", "+")
    return pd.DataFrame(
        {"chrom": "chr1", "start": start, "end": start + LENGTH, "name": names, "strand": strand}
    )


def write_hits(path: Path, rows: list[tuple[int, int, int, str]], regions: pd.DataFrame) -> Path:
    """Hits at columns of regions, as ``call_hits`` places them."""
    found = []
    for row, low, high, word in rows:
        own = regions.iloc[row]
        turned = own["strand"] == "-"
        start = own["end"] - high if turned else own["start"] + low
        chrom = own["chrom"] or f"{own['name']}.row{row + 1}"
        found.append((chrom, start, start + high - low, f"name of {word}", 900, "+", word, own["name"]))
    columns = ["#chrom", "start", "end", "motif", "score", "strand", "word", "region"]
    write_indexed_bed(pd.DataFrame(found, columns=columns).sort_values(["#chrom", "start"]), path)
    return path


def run(folder: Path, hits: Path, first: Path, second: Path, **options: Any) -> dict[str, pd.DataFrame]:
    paths = {"hits": folder / "hits.tsv.gz", "words": folder / "words.tsv", "sides": folder / "sides.tsv"}
    sides = Side("yeast", "reb1", first), Side("yeast", "abf1", second)
    contrast_hits(hits, *sides, ContrastFiles(**paths), **options)
    return {name: pd.read_csv(path, sep="\t") for name, path in paths.items()}


def sums(values: np.ndarray, rows: list[tuple[int, int, int, str]]) -> np.ndarray:
    """Contribution of each hit in each fold (folds, hits)."""
    own = (values * one_hot(CODES)).sum(axis=2)
    return np.stack([own[:, row, low:high].sum(axis=1) for row, low, high, _ in rows], axis=1)


PLACES = [(row, 3 + row % 4, 9 + row % 5, "ab"[row % 3 == 0]) for row in range(N)]


@pytest.mark.parametrize("direct", [False, True], ids=["both strands", "sequences given directly"])
@pytest.mark.parametrize("block", [1, 1 << 27], ids=["blocks of one region", "one block"])
def test_hits_have_the_sums_of_both_sides_and_a_t_test_with_the_sum_of_both_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: bool, block: int
) -> None:
    monkeypatch.setattr(contrast, "BLOCK_BYTES", block)
    regions = regions_around(direct=direct)
    paths = [write_attributions(tmp_path / f"{i}.h5", CODES, values, regions=regions)
             for i, values in enumerate((FIRST, SECOND[:2]))]  # fmt: skip
    hits = write_hits(tmp_path / "hits.bed.gz", [(*place[:3], f"w{place[0]}") for place in PLACES], regions)
    found = run(tmp_path, hits, *paths)
    table = found["hits"].set_index("word").loc[[f"w{row}" for row in range(N)]]
    given = pd.read_csv(hits, sep="\t")
    assert (given[["#chrom", "start", "end"]].to_numpy() == found["hits"][["chrom", "start", "end"]]).all(
        axis=None
    )
    a, b = sums(FIRST, PLACES), sums(SECOND[:2], PLACES)
    np.testing.assert_allclose(table["first"], a.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["second"], b.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["difference"], a.mean(0) - b.mean(0), rtol=1e-4, atol=1e-5)
    bases = [(values * one_hot(CODES)).sum(2) for values in (FIRST, SECOND[:2])]
    error = sum(
        np.array([x[:, r, low:high].std(0, ddof=1).sum() for r, low, high, _ in PLACES]) / np.sqrt(len(x))
        for x in bases
    )
    np.testing.assert_allclose(table["error"], error, rtol=1e-4)
    p = 2 * stats.t.sf(np.abs(a.mean(0) - b.mean(0)) / error, 1)
    np.testing.assert_allclose(table["p"], p, rtol=1e-3)
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(p), rtol=1e-3)
    assert (table["name"] == "name of " + table.index).all()
    assert found["sides"]["folds"].tolist() == [3, 2]


def test_words_are_tested_over_regions_that_do_not_overlap(tmp_path: Path) -> None:
    regions = regions_around()
    assert contrast.independent_regions(regions).tolist() == [0] * (N - 3) + [1, 2, 3]
    assert contrast.independent_regions(regions.iloc[::-1])[:3].tolist() == [3, 2, 1]
    assert contrast.independent_regions(regions_around(direct=True)).tolist() == list(range(N))
    paths = [write_attributions(tmp_path / f"{i}.h5", CODES, values, regions=regions)
             for i, values in enumerate((FIRST, SECOND))]  # fmt: skip
    found = run(tmp_path, write_hits(tmp_path / "hits.bed.gz", PLACES, regions), *paths)
    words = found["words"].set_index("word")
    difference = (sums(FIRST, PLACES) - sums(SECOND, PLACES)).mean(0)
    for word in "ab":
        own = np.array([name == word for *_, name in PLACES])
        group = np.where(np.arange(N) < N - 3, 0, np.arange(N))  # all that overlap are one
        means = pd.Series(difference[own]).groupby(group[own]).mean()
        assert words.loc[word, ["hits", "regions"]].tolist() == [own.sum(), len(means)]
        assert words.loc[word, "difference"] == pytest.approx(means.median(), rel=1e-4)
    assert words["p"].isna().all(), "fewer than six regions of each word"


def test_a_hit_in_regions_that_overlap_is_read_where_it_was_found() -> None:
    regions = regions_around()
    hits = pd.DataFrame({"chrom": "chr1", "start": [32, 32, 32], "end": 34, "region": ["r0", "r1", "r1"]})
    # Regions 0 to 3 hold [32, 34) or do not: r0 is regions 0 and 1, r1 is 2 and 3.
    assert contrast.place_in_regions(hits, regions).tolist() == [1, 2, 2]
    with pytest.raises(InputError, match=r"1 hit in no region of the attributions .*chr1:32-34 in r9"):
        contrast.place_in_regions(hits.assign(region=["r0", "r1", "r9"]), regions)
    assert contrast.place_in_regions(hits.iloc[:0], regions).shape == (0,)


@pytest.mark.parametrize("side", ["first", "second"])
def test_without_a_spread_over_folds_single_hits_have_no_p_and_words_do(
    tmp_path: Path, side: str, caplog: pytest.LogCaptureFixture
) -> None:
    single = FIRST[0] if side == "first" else SECOND[0]
    arrays = {"first": FIRST, "second": SECOND, side: single}
    regions = regions_around(direct=True)
    paths = [write_attributions(tmp_path / f"{name}.h5", CODES, arrays[name], regions=regions)
             for name in ("first", "second")]  # fmt: skip
    places = [(row, 2, 10, "a") for row in range(N)]
    with caplog.at_level("INFO"):
        found = run(tmp_path, write_hits(tmp_path / "hits.bed.gz", places, regions), *paths)
    assert found["hits"][["error", "p", "q"]].isna().all(axis=None)
    assert found["hits"]["difference"].notna().all()
    assert f"no spread over folds is known of {side}" in caplog.text
    difference = found["hits"]["difference"]
    assert found["words"]["p"].iloc[0] == pytest.approx(stats.wilcoxon(difference).pvalue, rel=1e-4)


def test_scaled_sides_compare_what_each_is_relative_to_its_own_mean(tmp_path: Path) -> None:
    regions = regions_around()
    first = write_attributions(tmp_path / "1.h5", CODES, FIRST, regions=regions)
    times = write_attributions(tmp_path / "2.h5", CODES, 50 * FIRST, regions=regions)
    hits = write_hits(tmp_path / "hits.bed.gz", PLACES, regions)
    raw = run(tmp_path, hits, first, times)
    scaled = run(tmp_path, hits, first, times, scale="hits", hits_of="second")
    np.testing.assert_allclose(raw["hits"]["difference"], -49 * raw["hits"]["first"], rtol=1e-3)
    np.testing.assert_allclose(scaled["hits"]["difference"], 0, atol=1e-5)
    assert scaled["hits"]["first"].abs().mean() == pytest.approx(1, rel=1e-4)
    own = scaled["sides"].set_index("side")
    assert own.loc["second", "scale"] == pytest.approx(50 * own.loc["first", "scale"], rel=1e-4)
    assert own["has_hits"].tolist() == [False, True]
    assert own.loc["first", "scale"] == pytest.approx(raw["hits"]["first"].abs().mean(), rel=1e-4)
    assert raw["sides"]["scale"].tolist() == [1, 1]
    # The unit does not matter to a ratio.
    ratio = scaled["hits"]["error"] * own.loc["first", "scale"]
    np.testing.assert_allclose(ratio, 2 * raw["hits"]["error"] / 51, rtol=1e-3)


def test_a_dead_target_is_not_divided_by_zero(tmp_path: Path) -> None:
    regions = regions_around()
    first = write_attributions(tmp_path / "1.h5", CODES, FIRST, regions=regions)
    dead = write_attributions(tmp_path / "2.h5", CODES, 0 * FIRST, regions=regions)
    hits = write_hits(tmp_path / "hits.bed.gz", PLACES, regions)
    found = run(tmp_path, hits, first, dead, scale="hits")
    assert (found["hits"]["second"] == 0).all()
    assert found["sides"]["scale"].tolist()[1] == 1


def test_hits_of_regions_that_one_side_lacks_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    regions, kept = regions_around(), [row for row in range(N) if row not in (2, 5)]
    first = write_attributions(tmp_path / "1.h5", CODES, FIRST, regions=regions)
    fewer = write_attributions(tmp_path / "2.h5", CODES[kept], SECOND[:, kept], rows=kept, regions=regions)
    whole = write_attributions(tmp_path / "3.h5", CODES, SECOND, regions=regions)
    hits = write_hits(tmp_path / "hits.bed.gz", PLACES, regions)
    found = run(tmp_path, hits, first, fewer)["hits"]
    assert "2 hits in regions that one side lacks: left out" in caplog.text
    key = ["start", "end", "word", "region"]
    same = found.merge(run(tmp_path, hits, first, whole)["hits"], on=key, suffixes=("", "_whole"))
    assert len(found) == len(same) == N - 2
    for column in ("first", "second", "p"):
        assert (same[column] == same[f"{column}_whole"]).all()


def test_no_hits_make_tables_of_headers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    regions = regions_around()
    path = write_attributions(tmp_path / "1.h5", CODES, FIRST, regions=regions)
    empty = write_hits(tmp_path / "hits.bed.gz", [], regions)
    found = run(tmp_path, empty, path, path, scale="hits")
    assert found["hits"].empty
    assert found["words"].empty
    assert list(found["words"]) == list(contrast.WORD_COLUMNS)
    assert "there is no hit to compare" in caplog.text


def test_sides_of_other_sequences_are_refused(tmp_path: Path) -> None:
    regions = regions_around()
    one = write_attributions(tmp_path / "1.h5", CODES, FIRST, regions=regions)
    other = write_attributions(tmp_path / "2.h5", CODES, FIRST, regions=regions, source="else")
    hits = write_hits(tmp_path / "hits.bed.gz", PLACES, regions)
    with pytest.raises(InputError, match="its sequences are not those of"):
        run(tmp_path, hits, one, other)
    write_indexed_bed(pd.DataFrame({"#chrom": ["chr1"], "start": [0], "end": [5], "motif": ["a"]}), hits)
    with pytest.raises(InputError, match=r"hits\.bed\.gz: no column word, strand, region"):
        run(tmp_path, hits, one, one)


def test_a_difference_at_some_hits_is_found_and_only_there(tmp_path: Path) -> None:
    """Two targets of one model, which share its folds: half the sites of word a matter to one alone."""
    n, rng = 300, np.random.default_rng(5)
    codes, noise = make_codes(n, seed=5), rng.normal(0, 0.05, (5, n, 1, 1))
    first = np.full((5, n, 4, LENGTH), 0.5) + noise + rng.normal(0, 0.02, (5, n, 4, LENGTH))
    second = np.full((5, n, 4, LENGTH), 0.5) + noise + rng.normal(0, 0.02, (5, n, 4, LENGTH))
    differs = np.arange(n) % 4 == 0
    second[:, differs] = noise[:, differs] + rng.normal(0, 0.02, (5, differs.sum(), 4, LENGTH))
    regions = regions_around(direct=True).iloc[:1]
    regions = pd.concat([regions] * n, ignore_index=True).assign(name=[f"s{i}" for i in range(n)])
    paths = [write_attributions(tmp_path / f"{i}.h5", codes, values, regions=regions)
             for i, values in enumerate((first, second))]  # fmt: skip
    word = np.where(np.arange(n) % 2, "b", "a")
    rows = pd.DataFrame({"#chrom": regions["name"], "start": 5, "end": 13, "motif": "x", "score": 1})
    rows = rows.assign(strand="+", word=word, region=regions["name"])
    write_indexed_bed(rows.sort_values("#chrom"), tmp_path / "hits.bed.gz")
    found = run(tmp_path, tmp_path / "hits.bed.gz", *paths)
    table = found["hits"].set_index("chrom").loc[regions["name"]]
    called = (table["q"] <= 0.1).to_numpy()
    assert called[differs].mean() > 0.9
    assert called[~differs].mean() < 0.01
    words = found["words"].set_index("word")
    assert words.loc["a", "q"] < 1e-6
    assert words.loc["a", "difference"] > 0.5
    assert words.loc["b", "q"] > 0.05


def test_only_regions_with_hits_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_attributions(tmp_path / "1.h5", CODES, FIRST, regions=regions_around())
    asked: list[int] = []
    read = Scores.read

    def spy(self: Scores, rows: np.ndarray) -> Any:
        asked.extend(rows)
        return read(self, rows)

    monkeypatch.setattr(Scores, "read", spy)
    with Scores(Source(path)) as scores:
        total, _ = contrast.span_sums(scores, np.array([7, 2, 7]), np.array([0, 1, 0]), np.array([5, 4, 5]))
    assert asked == [2, 7]
    assert total[0] == total[2]
