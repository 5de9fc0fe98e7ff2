"""The folder for genome browsers: tracks hold the results; hub and sessions name them by relative paths."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import h5py
import hub_rules
import motif_fixtures
import numpy as np
import pandas as pd
import pyBigWig
import pytest
from browser_fixture import write_inputs
from cislex.errors import InputError
from cislex.exports import features, sessions
from cislex.exports.browser import export_browser
from cislex.exports.browser_specs import BrowserGenome, BrowserSettings, BrowserTarget, shortened
from cislex.exports.igv.page import write_igv_page
from cislex.exports.signals import nearest_parts, write_region_values
from cislex.files.tables import read_regions


@pytest.fixture(scope="module")
def made(
    planted: motif_fixtures.Planted, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("inputs")
    arguments = write_inputs(planted, folder)
    out = tmp_path_factory.mktemp("out") / "browser"
    export_browser(out, **arguments)
    return out, arguments


def test_the_hub_follows_the_published_rules_wherever_it_lies(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(made[0], moved)
    assert hub_rules.problems(moved) == []
    tracks = hub_rules.stanzas(moved / "trackDb.txt")
    logos = [track["bigDataUrl"] for track in tracks if track.get("logo") == "on"]
    assert logos == ["data/x.a.contributions.bw", "data/x.b.contributions.bw"]
    assert {track.get("parent") for track in tracks} == {None, "t_x_20__2f__20_a", "t_x_20__2f__20_b"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("logo on", "logos on"), "no setting logos"),
        (("type bigBed 9 +", "type bigBed 9"), "14 columns"),
        (("shortLabel motif hits", "shortLabel " + "m" * 18), "shortLabel m"),
        (("bigDataUrl data/x.a.hits.bb", "bigDataUrl data/gone.bb"), "gone.bb is missing"),
        (("parent t_x", "parent t_y"), "its parent does not come before it"),
    ],
)
def test_the_rules_find_what_breaks_them(
    made: tuple[Path, dict[str, Any]], tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(made[0], moved)
    text = (moved / "trackDb.txt").read_text()
    (moved / "trackDb.txt").write_text(text.replace(*change, 1))
    assert change[0] in text
    assert any(said in one for one in hub_rules.problems(moved))


def test_sessions_name_every_file_and_nothing_outside(made: tuple[Path, dict[str, Any]]) -> None:
    out = made[0]
    root = xml.etree.ElementTree.parse(out / "session.xml").getroot()
    named = [one.get("path") for one in root.iter("Resource")]
    assert named == [one.get("id") for one in root.iter("Track")]
    session = json.loads((out / "session.json").read_text())
    assert named == [one["url"] for one in session["tracks"]]
    assert sorted(named) == sorted(f"data/{path.name}" for path in (out / "data").iterdir())
    genome = session["reference"]
    for file in [*named, root.get("genome"), genome["fastaURL"], genome["indexURL"]]:
        assert not os.path.isabs(file)
        assert (out / file).is_file()
    kinds = {one.get("name"): one.get("renderer") for one in root.iter("Track")}
    assert kinds["x / a: contributions"] == "DYNSEQ"
    assert session["tracks"][0]["graphType"] == "dynseq"
    assert set(sessions.HEIGHTS) >= {"contributions", "predictions", "observed", "signal", "hits", "regions"}


def test_intervals_and_numbers_are_those_of_the_tables(made: tuple[Path, dict[str, Any]]) -> None:
    out, arguments = made
    hits = pd.read_csv(arguments["targets"][0].hits, sep="\t").sort_values(["#chrom", "start"])
    with pyBigWig.open(str(out / "data" / "x.a.hits.bb")) as track:
        rows = [
            [chrom, start, *rest.split("\t")]
            for chrom in track.chroms()
            for start, _, rest in track.entries(chrom, 0, track.chroms(chrom))
        ]
    assert [one[:2] for one in rows] == hits[["#chrom", "start"]].to_numpy().tolist()
    np.testing.assert_allclose([float(one[9]) for one in rows], hits["contribution"], rtol=1e-5)
    raised = np.array([one[7] == features.RAISES for one in rows])
    np.testing.assert_array_equal(raised, hits["contribution"] > 0)
    with pyBigWig.open(str(out / "data" / "variants.calls.bb")) as track:
        assert track.entries("chr2", 0, 100)[0][:2] == (4, 5)
        (deletion,) = track.entries("chr10", 0, 200)
    assert deletion[:2] == (99, 101)
    assert deletion[2].split("\t")[:2] == ["AC>A", "1000"]
    assert deletion[2].split("\t")[5] == features.LOWERS
    table = pd.read_csv(arguments["targets"][0].predictions, sep="\t")
    with pyBigWig.open(str(out / "data" / "x.b.predictions.bw")) as track:
        for row in table.itertuples():
            centre = (row.start + row.end) // 2
            assert track.values(row.chrom, centre, centre + 1)[0] == pytest.approx(row.b, rel=1e-5)


def test_every_base_has_the_number_of_the_nearest_centre(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    length, size = 21, 400
    starts = rng.integers(0, size - length, 30)
    regions = pd.DataFrame({"chrom": "c", "start": starts, "end": starts + length})
    values = rng.normal(size=30)
    values[5] = np.nan
    write_region_values(regions, values, {"c": size}, tmp_path / "a.bw")
    with pyBigWig.open(str(tmp_path / "a.bw")) as track:
        found = track.values("c", 0, size, numpy=True)
    kept = np.isfinite(values)
    for base in range(size):
        covering = kept & (starts <= base) & (base < starts + length)
        if not covering.any():
            assert np.isnan(found[base])
            continue
        distance = np.where(covering, np.abs(starts + (length - 1) / 2 - base), np.inf)
        nearest = np.unique(starts[distance == distance.min()])
        means = [values[kept & (starts == start)].mean() for start in nearest]
        assert min(abs(found[base] - mean) for mean in means) < 1e-6
    low, high = nearest_parts(np.array([0, 1, 2]), np.array([9, 10, 11]))
    assert (high > low).all()


def test_a_known_assembly_needs_no_genome(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    genome = made[1]["genome"]
    known = BrowserGenome(
        genome.chromosomes, genome.fasta, genome.fai, genome.gzi, assembly="sacCer3", included=False
    )
    settings = BrowserSettings("t", email="me@example.org", page_regions=0)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old.bw").touch()
    export_browser(tmp_path, **{**made[1], "genome": known, "settings": settings})
    assert hub_rules.problems(tmp_path) == []
    assert not (tmp_path / "genome").exists()
    assert not (tmp_path / "data" / "old.bw").exists(), "what an earlier run made"
    assert not (tmp_path / "igv.html").exists()
    assert hub_rules.stanzas(tmp_path / "genomes.txt") == [{"genome": "sacCer3", "trackDb": "trackDb.txt"}]
    assert json.loads((tmp_path / "session.json").read_text())["genome"] == "sacCer3"
    assert "me@example.org" in (tmp_path / "hub.txt").read_text()


def test_files_of_the_user_are_linked_and_left_as_they_are(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    source = tmp_path / "signal.bw"
    shutil.copyfile(made[1]["targets"][0].contributions, source)
    source.chmod(0o444)
    target = BrowserTarget(**{**vars(made[1]["targets"][1]), "signals": {"bigwig": source}})
    export_browser(tmp_path / "b", **{**made[1], "targets": [target]})
    assert os.path.samefile(source, tmp_path / "b" / "data" / "x.b.signal.bigwig.bw")
    assert source.stat().st_mode & 0o777 == 0o444


def test_chromosomes_of_the_page_keep_the_order_of_the_genome(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, arguments = made
    settings = dataclasses.replace(arguments["settings"], page_regions=100)
    for sizes in (motif_fixtures.CHROMOSOMES, dict(reversed(motif_fixtures.CHROMOSOMES.items()))):
        write_igv_page(arguments["targets"], tmp_path / "igv.html", sizes, settings)
        page = (tmp_path / "igv.html").read_text(encoding="utf-8")
        data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
        assert len(data["sizes"]) > 1
        assert list(data["sizes"]) == [name for name in sizes if name in data["sizes"]]


def test_the_page_is_self_contained_and_holds_the_top_regions(made: tuple[Path, dict[str, Any]]) -> None:
    out, arguments = made
    page = (out / "igv.html").read_text(encoding="utf-8")
    assert "<title>What does it read? &lt;naïve&gt; &amp; more</title>" in page
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "http" not in policy[1]
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page.split("<script>")[0])
    assert page.count("</script>") == 3, "igv.js ends no script early"
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    with h5py.File(arguments["targets"][0].attributions) as handle:
        regions, prediction = read_regions(handle), handle["prediction"][...]
        first = int(np.argsort(-prediction, kind="stable")[0])
        values = (handle["sequences"][first] * handle["hypothetical"][first]).sum(0)
    window = data["targets"][0]["windows"][0]
    assert [one["label"] for one in data["targets"]] == ["x / a", "x / b"]
    assert [len(one["windows"]) for one in data["targets"]] == [2, 2]
    assert window["name"] == regions["name"][first]
    expected = values[::-1] if regions["strand"][first] == "-" else values
    np.testing.assert_allclose(window["values"], expected, rtol=6e-3, atol=1e-9)
    assert window["hits"][0][2] == "AB::C"


def test_labels_are_cut_in_the_middle_and_no_target_is_an_error(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    for length in range(6, 12):
        assert len(shortened("x" * 30, length)) == length
    with pytest.raises(InputError, match="no target on the genome"):
        export_browser(tmp_path, **{**made[1], "targets": []})
