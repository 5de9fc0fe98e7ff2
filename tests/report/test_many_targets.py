"""Reports of many targets: an index and a page for each, small, complete, and linked with each other."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from urllib.parse import unquote

import h5py
import numpy as np
import pandas as pd
import pytest
import report_fixture as fixture
import report_many_targets as many
from cislex.errors import InputError
from cislex.motifs.files import read_meme, reverse_complement
from cislex.report import render_report
from cislex.report.figures.motif_logos import Symbols, is_reversed_match, motif_logo
from cislex.report.figures.regions import Region, per_pixel, region_figure

TARGETS, PATTERNS = 9, 40


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Return the results folder of nine targets, and the arguments that go with it."""
    root = tmp_path_factory.mktemp("many")
    return root, many.write_many(root, analyses=3, targets=3, patterns=PATTERNS, regions=40)


@pytest.fixture(scope="module")
def folder(run: tuple[Path, dict]) -> Path:
    """Return the folder of pages."""
    root, arguments = run
    render_report(root / "report.html", title="Many <i>", **arguments)
    return root / "report"


def addresses(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'href="([^"]+)"', text)
    return [address for address in found if not address.startswith(("https:", "data:"))]


def test_each_target_has_a_page_and_the_old_address_leads_to_the_index(folder: Path) -> None:
    pages = {f"analysis_{a}.target_{t}.html" for a in range(3) for t in range(3)}
    assert {path.name for path in folder.iterdir()} == {"index.html", *pages}
    old = (folder.parent / "report.html").read_text()
    assert 'content="0; url=report/index.html"' in old
    assert "<title>Many &lt;i&gt;</title>" in old


def test_one_page_takes_the_place_of_the_pages_of_more_targets(
    run: tuple[Path, dict], tmp_path: Path
) -> None:
    _, arguments = run
    few = {**arguments, "analyses": arguments["analyses"][:1]}
    for name, content in (("old", ["index.html", "a.html"]), ("own", ["index.html", "notes.txt"])):
        (tmp_path / name).mkdir()
        for file in content:
            (tmp_path / name / file).write_text("x")
        render_report(tmp_path / f"{name}.html", title="Few", **few)
    assert not (tmp_path / "old").exists()
    assert {path.name for path in (tmp_path / "own").iterdir()} == {"index.html", "notes.txt"}


def test_every_link_leads_to_a_file_and_a_place_in_it(folder: Path) -> None:
    ids = {
        path.name: set(re.findall(r' id="([^"]+)"', path.read_text(encoding="utf-8")))
        for path in folder.iterdir()
    }
    for page in folder.iterdir():
        for address in addresses(page):
            path, _, fragment = address.partition("#")
            target = (page.parent / unquote(path)) if path else page
            assert target.exists(), (page.name, address)
            if fragment:
                assert fragment in ids[target.name], (page.name, address)
    found = json.loads(
        re.search(r'id="entries">(.*?)</script>', (folder / "index.html").read_text(), flags=re.S)[1]  # type: ignore[index]
    )
    assert len(found) == TARGETS * (PATTERNS + 10 + 3 + 3)
    for _, address in found:
        path, _, fragment = address.partition("#")
        assert fragment in ids[path]


def test_the_index_begins_with_words_by_targets(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    main = text[text.index("<main") :]
    assert main.index('id="heat-map"') < main.index('id="targets"') < main.index('id="vocabulary"')
    heat = main[: main.index('id="targets"')]
    rows = re.findall(r'<tr class="(up|down)"', heat)
    assert len(rows) == PATTERNS
    assert heat.count('<th scope="col" class="turned">') == TARGETS
    assert '<a href="#word-w3">' in heat
    assert 'id="word-w3"' in main
    assert heat.count('<tbody class="rest">') == 1, "rows from the 31st on are folded"
    assert heat[: heat.index('<tbody class="rest">')].count("<tr ") == 30


def test_every_motif_has_a_logo_and_known_motifs_are_drawn_once_a_page(folder: Path) -> None:
    for page in folder.glob("analysis_*.html"):
        text = page.read_text(encoding="utf-8")
        logos = re.findall(r'<td class="logo">(<svg class="logo"|)', text)
        assert len(logos) == PATTERNS
        assert all(logos)
        symbols = re.findall(r'<symbol id="([^"]+)"', text)
        assert len(symbols) == len(set(symbols)) == PATTERNS * 9 // 10, "flagged ones have none"
        assert set(re.findall(r'<use href="#([^"]+)"', text)) == {
            *symbols,
            *(f"base-{base}" for base in "ACGT"),
        }
        assert "no logo" not in text
        assert text.count("<img") == 0
        assert page.stat().st_size < 1_200_000


def test_one_page_holds_few_targets(run: tuple[Path, dict], tmp_path: Path) -> None:
    arguments = {**run[1], "analyses": run[1]["analyses"][:8]}
    render_report(tmp_path / "r.html", title="t", **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    render_report(tmp_path / "s.html", title="t", **arguments, pages_above=7)
    assert (tmp_path / "s/index.html").exists()


def test_a_page_of_many_targets_needs_an_ending(run: tuple[Path, dict], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.html"):
        render_report(tmp_path / "report", title="t", **run[1])


def test_rendering_again_replaces_the_folder(run: tuple[Path, dict], tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/old.html").write_text("old")
    render_report(tmp_path / "r.html", title="t", **run[1])
    assert not (tmp_path / "r/old.html").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"r", "r.html"}


def test_a_match_is_drawn_on_the_strand_that_the_motif_resembles(tmp_path: Path) -> None:
    ppm = many.frequencies("TTACCCGG")
    assert not is_reversed_match(ppm, ppm)
    assert is_reversed_match(reverse_complement(ppm), ppm)
    assert is_reversed_match(
        reverse_complement(ppm)[:, 2:], np.pad(ppm, ((0, 0), (3, 3)), constant_values=0.25)
    )


def test_a_shared_logo_is_drawn_for_its_first_place_only() -> None:
    symbols, drawn = Symbols(), []

    def heights() -> np.ndarray:
        drawn.append(1)
        return 2.0 * fixture.one_hot("ACGT")

    first = symbols.place('known-"<M>', heights, label='<"logo">')
    assert str(first) == str(symbols.place('known-"<M>', heights, label='<"logo">'))
    assert len(drawn) == 1
    assert str(symbols.definitions).count("<symbol") == 1
    assert "<M>" not in str(symbols.definitions) + str(first)


def test_letters_are_as_high_as_they_should_be() -> None:
    heights = np.array([[0.5, 0], [0.25, 0], [0, -0.25], [0, 0]])
    found = re.findall(
        r'#base-(\w)" transform="matrix\(0.169 0 0 ([\d.-]+) [\d.]+ ([\d.]+)',
        str(motif_logo(heights, label="")),
    )
    size = {base: float(scale) for base, scale, _ in found}
    assert size["A"] == pytest.approx(2 * size["C"], rel=0.01)
    assert size["G"] == pytest.approx(-size["C"], rel=0.01)
    # 1 unit in 80 pixels; letters of 100.
    assert size["A"] == pytest.approx(0.5 * 80 / 100, rel=0.01)


def test_long_regions_are_binned_to_pixels_and_keep_every_peak() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=131_072).astype(np.float32)
    low, high = per_pixel(values, 900)
    assert len(low) == 900
    assert low.min() == values.min()
    assert high.max() == values.max()
    onehot = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, 131_072)].T
    drawn = str(region_figure(Region(onehot * values, onehot), window=90, label="long"))
    assert len(drawn) < 60_000
    assert ">131,072 bp</text>" in drawn
    for x, anchor, label in re.findall(
        r'<text x="([\d.]+)" y="[\d.]+" text-anchor="(\w+)"[^>]*>([^<]+)</text>', drawn
    ):
        assert "e+" not in label
        if anchor == "end":
            assert float(x) > 6 * len(label), f"{label} is clipped"


def test_the_trim_of_the_table_is_drawn(run: tuple[Path, dict], tmp_path: Path) -> None:
    spec = run[1]["analyses"][0]
    table = pd.read_csv(spec.motifs, sep="\t", dtype=str, keep_default_na=False)
    table["trim_start"], table["trim_end"] = "2", "5"
    table.to_csv(tmp_path / "motifs.tsv", sep="\t", index=False)
    with h5py.File(spec.modisco) as handle:
        assert handle["pos_patterns/pattern_1/contrib_scores"].shape[0] > 5
    render_report(
        tmp_path / "r.html", title="t", results="r",
        analyses=[dataclasses.replace(spec, motifs=tmp_path / "motifs.tsv")],
    )  # fmt: skip
    text = (tmp_path / "r.html").read_text()
    own = re.findall(r'<td class="logo"><svg class="logo" width="(\d+)"', text)
    assert set(own) == {str(34 + 3 * 18 + 4)}


def test_the_databases_of_the_fixture_hold_its_matches(run: tuple[Path, dict]) -> None:
    known = {motif.identifier for motif in read_meme(run[0] / "known.meme")}
    table = pd.read_csv(run[1]["analyses"][0].motifs, sep="\t")
    assert set(table["match_1"]) <= known
