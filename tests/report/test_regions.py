"""Regions: which are drawn, what their windows are, and how hits, coordinates and folds are shown."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import report_fixture as fixture
from cislex.errors import InputError
from cislex.report import render_report
from cislex.report.figures.regions import Mark, Region, important_windows, region_figure
from cislex.report.sections.top_regions import Asked, choose, parse_locus


def region(length: int = 600, *, peaks: tuple[int, ...] = (300,), **other: object) -> Region:
    rng = np.random.default_rng(0)
    onehot = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, length)].T.copy()
    hypothetical = rng.normal(0, 0.001, (4, length)).astype(np.float32)
    for n, peak in enumerate(peaks):
        hypothetical[:, peak : peak + 10] += 1.0 - 0.1 * n
    return Region(hypothetical, onehot, **other)  # type: ignore[arg-type]


def labels(figure: object) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", str(figure))


def test_up_to_three_windows_do_not_overlap_and_follow_the_region() -> None:
    found = important_windows(region(peaks=(500, 40, 300, 200)).contributions, 90)
    assert len(found) == 3
    assert found == sorted(found)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    for peak in (40, 300, 500):
        assert any(start <= peak and peak + 10 <= end for start, end in found), peak


def test_a_window_with_little_is_not_drawn() -> None:
    given = region(peaks=(300,))
    given.hypothetical[:, 100:110] += 0.3  # a tenth of the squares
    assert len(important_windows(Region(given.hypothetical, given.onehot).contributions, 90)) == 1
    assert important_windows(np.zeros(50, np.float32), 90) == [(0, 50)]
    assert len(important_windows(np.zeros(500, np.float32), 90)) == 1


def test_every_hit_is_named_on_the_strip_with_its_strand() -> None:
    names = ["REB1", "RAP1", "ABF1", "TBF1", "CBF1", "GCN4"]
    marks = [Mark(40 + 90 * n, 50 + 90 * n, name, "+-"[n % 2]) for n, name in enumerate(names)]
    shown = labels(region_figure(region(marks=marks), window=90, label="x"))
    for n, name in enumerate(names):
        assert (f"{name} →", f"← {name}")[n % 2] in shown


def test_hits_without_room_are_counted_and_told_under_the_pointer() -> None:
    marks = [Mark(300, 310, f"FACTOR{n}", "+") for n in range(20)]
    figure = str(region_figure(region(marks=marks), window=90, label="x"))
    assert "+15 hits" in labels(figure), "five lanes of the strip"
    assert "+18 hits" in labels(figure), "two lanes of the window"
    assert figure.count("<title>FACTOR") == 15 + 18


def test_the_bracket_of_a_hit_that_is_cut_is_open_on_that_side() -> None:
    bracket = re.compile(r'<path d="M[^"H]*H[^"]*" fill="none" stroke="#222"/>')
    whole, left, right = (
        bracket.findall(str(region_figure(given, window=90, label="x")))[0]
        for given in (
            region(marks=[Mark(300, 310, "A")]),
            region(marks=[Mark(-5, 5, "A")]),
            region(marks=[Mark(595, 605, "A")]),
        )
    )
    assert ("v-5H" in whole, 'v5"' in whole) == (True, True)
    assert ("v-5H" in left, 'v5"' in left) == (False, True)
    assert ("v-5H" in right, 'v5"' in right) == (True, False)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_positions_are_those_of_the_genome_on_either_strand(is_reversed: bool) -> None:
    given = region(length=201, chrom="chrIV", start=1_000_000, end=1_000_201, is_reversed=is_reversed)
    ticks = given.ticks(0, 201, count=4)
    for column, written in ticks:
        place = int(written.replace(",", ""))
        assert (1_000_200 - place if is_reversed else place - 1_000_000) + 0.5 == column
    assert "1,000,100" in labels(region_figure(given, window=90, label="x"))
    assert ("chrIV ←" if is_reversed else "chrIV →") in labels(region_figure(given, window=90, label="x"))


def test_fold_spread_is_a_band_and_other_targets_are_strips() -> None:
    plain = str(region_figure(region(), window=90, label="x"))
    spread = str(region_figure(region(spread=np.full(600, 0.1, np.float32)), window=90, label="x"))
    assert ('fill-opacity="0.3"' in plain, 'fill-opacity="0.3"' in spread) == (False, True)
    others = [
        ("other", np.ones(600, np.float32)),
        ("a very long name of a target", np.zeros(600, np.float32)),
    ]
    figure = str(region_figure(region(others=others), window=90, label="x"))
    assert "other" in labels(figure)
    assert "<title>a very long name of a target</title>" in figure


def test_the_heat_map_keeps_its_sign_in_grey() -> None:
    """A negative cell has a dark bar, a positive one of the same strength has not."""
    import base64
    import zlib

    hypothetical = np.array([[1.0, -1.0]] * 4, np.float32)
    figure = str(region_figure(Region(hypothetical, np.zeros((4, 2), np.uint8)), window=90, label="x"))
    data = base64.b64decode(re.search(r"base64,([^\"]+)", figure)[1])  # type: ignore[index]
    start = data.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompress(data[start:-16]), np.uint8).reshape(24, -1)[:, 1:].reshape(24, 12, 3)
    assert len(np.unique(rows[:, :6].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(rows[:, 6:].reshape(-1, 3), axis=0)) == 2


def test_loci_are_read_as_users_write_them() -> None:
    assert parse_locus("chrIV:1,000-2,000") == ("chrIV", 1000, 2000)
    assert parse_locus("chrIV:1500") == ("chrIV", 1500, 1501)
    assert parse_locus("HLA:01:5–9") == ("HLA:01", 5, 9)
    for wrong in ("chrIV", "chrIV:9-5", "chrIV:x", ""):
        with pytest.raises(InputError, match="report: locus"):
            parse_locus(wrong)


def test_regions_of_all_kinds_are_chosen_once() -> None:
    regions = fixture.make_regions(30)
    asked = Asked(loci=["chrIV:2,600-2,700", "chrV:5"], names=["peak_29", "nobody"])
    chosen, missing = choose(np.arange(30, dtype=np.float32), regions, top=10, asked=asked)
    groups = pd.DataFrame(chosen, columns=["row", "group"]).groupby("group")["row"].apply(list)
    assert groups["asked"] == [2, 29]
    assert missing == ["chrV:5", "nobody"]
    assert groups["highest"] == list(range(29, 19, -1))
    assert groups["lowest"] == [0, 1, 2]
    assert len(set(groups["random"])) == 3
    assert set(groups["random"]) <= set(range(3, 20))


def test_few_regions_are_enough() -> None:
    for n in (0, 1, 3, 12):
        chosen, _ = choose(np.zeros(n, np.float32), fixture.make_regions(n), top=10, asked=Asked())
        assert sorted(row for row, _ in chosen) == list(range(n))


def test_the_page_shows_what_was_asked_for_and_says_what_is_nowhere(tmp_path: Path) -> None:
    options = fixture.write_results(tmp_path / "results")
    first, *_ = options.pop("analyses")  # type: ignore[misc]
    with h5py.File(first.attributions, "r+") as handle:
        handle["fold_spread"] = np.full(handle["hypothetical"].shape[::2], 0.02, np.float32)
    beside = dataclasses.replace(first, target="other")
    render_report(
        tmp_path / "r.html", title="T", analyses=[first, beside], loci=["chrIV:2,600"], names=["nobody"],
        assembly="sacCer3", **options,  # type: ignore[arg-type]
    )  # fmt: skip
    text = (tmp_path / "r.html").read_text()
    section = text[text.index('id="peaks_yeast.reb1-regions"') :]
    assert "In no region of this target: nobody." in section
    asked = section[section.index("<h4>Regions asked for") : section.index("<h4>Highest")]
    assert 'id="peaks_yeast.reb1-region-asked-1"' in asked
    assert "hgTracks?db=sacCer3&amp;position=chrIV%3A2501-2700" in asked
    assert ">other</text>" in asked
    assert 'fill-opacity="0.3"' in asked
