"""Names of tracks become numbers when the config is read; one entry may give a target for each track."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cislex_workflow.checks.input_files import missing_files
from cislex_workflow.config import configuration
from cislex_workflow.config.track_tables import read_track_table
from cislex_workflow.config.track_targets import interval_files

SCHEMA = Path(__file__).resolve().parents[3] / "workflow" / "schemas" / "config.schema.yaml"
#: As Borzoi's: the first column has no name.
TABLE = """\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription
0\tENCFF1\ta.w5\t128\t32\t2\tmean\t0\tDNASE:K562
1\tENCFF2\tb.w5\t128\t32\t1\tmean\t1\tDNASE:liver (female)
2\tENCFF3+\tc.w5\t768\t384\t0.3\tsum_sqrt\t3\tRNA:K562
3\tENCFF3-\tc.w5\t768\t384\t0.3\tsum_sqrt\t2\tRNA:K562
7\tENCFF4\td.w5\t768\t384\t0.3\tmean\t7\tCHIP:GATA1:K562
"""


def resolve(
    folder: Path, targets: dict[str, Any], *, further: dict[str, Any] | None = None, **model: Any
) -> dict[str, Any]:
    (folder / "tracks.txt").write_text(TABLE)
    net = {"loader": "factory", "module": "m.py:f", "input_length": 100, "folds": {"a": "a.pt"},
           "tracks": str(folder / "tracks.txt"), "bins": {"width": 4, "crop": 10}, **model}  # fmt: skip
    config = {
        "results": "r", "genome": {"fasta": "g.fa"}, "regions": {"own": {"peaks": "p.bed"}},
        "models": {"net": net}, "analyses": {"x": {"regions": "own", "model": "net", "targets": targets}},
    }  # fmt: skip
    return configuration.resolve({**config, **(further or {})}, SCHEMA)


def targets_of(folder: Path, targets: dict[str, Any], **model: Any) -> dict[str, Any]:
    found: dict[str, Any] = resolve(folder, targets, **model)["analyses"]["x"]["targets"]
    return found


BINS = {"width": 4, "crop": [10, 10], "length": 100}


@pytest.mark.parametrize(
    ("tracks", "numbers"),
    [
        (["DNASE:*"], [0, 1]),
        (["*K562"], [0, 2, 3, 7]),
        (["ENCFF?"], [0, 1, 7]),
        (["RNA:K562"], [2, 3]),
        (["ENCFF4", 1, "DNASE:K562", 1], [0, 1, 7]),
        (["DNASE:liver (female)"], [1]),
        ([7], [7]),
    ],
)
def test_names_and_patterns_become_numbers(tmp_path: Path, tracks: list[Any], numbers: list[int]) -> None:
    found = targets_of(tmp_path, {"t": {"kind": "log", "of": {"kind": "tracks", "tracks": tracks}}})["t"][
        "of"
    ]
    pairs = {2: 3, 3: 2}
    other = [pairs.get(number, number) for number in numbers]
    assert found == {"kind": "tracks", "tracks": numbers, "bins": BINS} | (
        {"strand_pairs": other} if other != numbers else {}
    )


def test_a_job_has_the_numbers_alone_and_the_snapshot_gives_the_same(tmp_path: Path) -> None:
    entry = {"kind": "tracks", "tracks": ["DNASE:*"], "window": [-40, 40]}
    by_name = resolve(tmp_path, {"t": entry})
    by_number = resolve(tmp_path, {"t": {**entry, "tracks": [1, 0]}})
    assert by_name == by_number
    assert configuration.resolve(by_name, SCHEMA) == by_name


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"tracks": ["DNASE:K652"]}, "'DNASE:K652' is not one of its 5 tracks in .*nearest are DNASE:K562"),
        ({"tracks": ["dnase:*"]}, r"'dnase:\*' matches none of its 5 tracks in .*nearest are DNASE:"),
        ({"tracks": ["DNASE:*"], "head": "mouse", "window": [0, 41]}, "window .0, 41. bp from the centre"),
        ({"window": [-5, 5], "anchor": "start"}, r"is not in what the bins cover, \[10, 90\]"),
        (
            {"bins": {"width": 7, "crop": [1, 2]}},
            r"bins of 7 bp and a crop of \[1, 2\] do not make up the 100",
        ),
        ({"each": True}, "each: true needs tracks"),
        ({"tracks": [2, 3, "ENCFF9"]}, "'ENCFF9' is not one of its"),
        ({"intervals": {"bed": "e.bed"}, "window": [0, 4]}, "found window and intervals; give one of them"),
        ({"intervals": {"bed": "e.bed"}, "pre_activation": True}, "cannot be combined with pre_activation"),
        ({"intervals": {"match": "name"}}, "the key 'bed' is missing"),
        ({"unsquash": {"scale": "table"}}, "unsquash.scale: table needs tracks"),
        ({"unsquash": {"scale": "own"}}, "found 'own', expected a number above 0, the word table"),
        ({"unsquash": {"clip_soft": 0.5}}, "found 0.5, expected"),
        (
            {"tracks": [2, 3, 2], "unsquash": {"scale": [1, 2, 3]}},
            "found 3 numbers for 2 tracks; expected one",
        ),
        (
            {"unsquash": {"scale": [1, 2]}},
            "found 2 numbers for all tracks; expected one for each of `tracks`",
        ),
        ({"tracks": [2, 12]}, "track 12 is not in .*, which has 5 tracks"),
    ],
)
def test_what_the_table_does_not_have_is_named(tmp_path: Path, target: dict[str, Any], message: str) -> None:
    with pytest.raises(configuration.ConfigurationError, match=f"analyses.x.targets.t.*: .*{message}"):
        resolve(tmp_path, {"t": {"kind": "tracks", **target}})


def test_numbers_of_unsquash_stay_with_their_tracks(tmp_path: Path) -> None:
    squash = {"scale": [0.5, 2, 3], "clip_soft": [30, 10, 20]}
    entry = {"kind": "tracks", "tracks": [7, "RNA:K562"], "unsquash": squash}
    found = resolve(tmp_path, {"t": entry})
    target = found["analyses"]["x"]["targets"]["t"]
    assert target["tracks"] == [2, 3, 7]
    assert target["unsquash"] == {"scale": [2, 3, 0.5], "clip_soft": [10, 20, 30]}
    assert target["strand_pairs"] == [3, 2, 7]
    assert target["strand_unsquash"] == {"scale": [3, 2, 0.5], "clip_soft": [20, 10, 30]}
    assert configuration.resolve(found, SCHEMA) == found
    found = resolve(tmp_path, {"t": {**entry, "each": True}})
    assert configuration.resolve(found, SCHEMA) == found
    each = found["analyses"]["x"]["targets"]
    assert {name: one["unsquash"]["scale"] for name, one in each.items()} == {
        "t.ENCFF3.plus": [2], "t.ENCFF3.minus": [3], "t.ENCFF4": [0.5]
    }  # fmt: skip
    assert each["t.ENCFF3.plus"]["strand_unsquash"]["scale"] == [3]
    single = targets_of(tmp_path, {"t": {**entry, "tracks": [2], "unsquash": {"scale": [4]}}})["t"]
    assert (single["unsquash"], "strand_unsquash" in single) == ({"scale": [4]}, False)


def test_unsquash_of_the_table_is_that_of_the_strand_that_is_read(tmp_path: Path) -> None:
    table = TABLE.replace("3\tENCFF3-\tc.w5\t768\t384\t0.3", "3\tENCFF3-\tc.w5\t768\t384\t0.6")
    path = tmp_path / "other.txt"
    path.write_text(table)
    squash = {"exponent": 0.75, "scale": "table", "clip_soft": "table"}
    entry = {"kind": "tracks", "tracks": [2], "unsquash": squash}
    target = targets_of(tmp_path, {"t": entry}, tracks=str(path))["t"]
    assert target["unsquash"] == {"exponent": 0.75, "scale": 0.3, "clip_soft": 384}
    assert target["strand_unsquash"] == {"exponent": 0.75, "scale": 0.6, "clip_soft": 384}


def test_models_without_table_bins_or_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(configuration.ConfigurationError, match="'a' is a name, but the model has no table"):
        resolve(tmp_path, {"t": {"kind": "tracks", "tracks": ["a"]}}, tracks=None)
    table = {"human": str(tmp_path / "tracks.txt")}
    with pytest.raises(configuration.ConfigurationError, match="table `tracks` for head mouse"):
        resolve(tmp_path, {"t": {"kind": "tracks", "tracks": ["a"], "head": "mouse"}}, tracks=table)
    with pytest.raises(configuration.ConfigurationError, match="window needs the width of a bin"):
        resolve(tmp_path, {"t": {"kind": "tracks", "window": [0, 4]}}, bins=None)
    with pytest.raises(configuration.ConfigurationError, match="which pad_to makes longer"):
        resolve(tmp_path, {"t": {"kind": "tracks"}}, pad_to=120)
    with pytest.raises(configuration.ConfigurationError, match=r"no such file: .*none.txt; the names"):
        resolve(tmp_path, {"t": {"kind": "tracks", "tracks": [1]}}, tracks=str(tmp_path / "none.txt"))


def test_one_entry_gives_a_target_for_each_track(tmp_path: Path) -> None:
    inner = {"kind": "tracks", "tracks": ["*K562"], "each": True}
    found = targets_of(
        tmp_path, {"all": {"kind": "log", "of": inner, "pseudocount": 1}, "b": {"kind": "output"}}
    )
    assert list(found) == ["all.ENCFF1", "all.ENCFF3.plus", "all.ENCFF3.minus", "all.ENCFF4", "b"]
    assert found["all.ENCFF3.minus"] == {
        "kind": "log", "pseudocount": 1,
        "of": {"kind": "tracks", "tracks": [3], "strand_pairs": [2], "bins": BINS},
    }  # fmt: skip
    numbered = targets_of(tmp_path, {"t": {**inner, "tracks": [9, 4]}}, tracks=None)
    assert {name: entry["tracks"] for name, entry in numbered.items()} == {"t.4": [4], "t.9": [9]}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"t": {"kind": "tracks", "tracks": ["ENCFF*"], "each": True}, "t.ENCFF4": {"kind": "output"}},
         "two targets would be called 't.ENCFF4'"),
        ({"predictions": {"kind": "tracks", "tracks": ["tsv"], "each": True}}, "predictions.tsv"),
        ({"t": {"kind": "tracks", "tracks": ["x y", "x_y"], "each": True}},
         "tracks 8 and 9 would both be called 't.x_y'"),
        ({"t": {"kind": "ratio", "a": {"kind": "tracks", "tracks": ["*"], "each": True},
                "b": {"kind": "tracks", "tracks": ["*"], "each": True}}}, "found each: true twice"),
    ],
)  # fmt: skip
def test_names_that_clash_are_refused(
    tmp_path: Path, targets: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "".join(f"{i}\t{name}\n" for i, name in ((8, "x y"), (9, "x_y"), (10, "tsv")))
    rows = [line.split("\t")[:2] for line in TABLE.splitlines()]
    monkeypatch.setitem(globals(), "TABLE", "".join("\t".join(row) + "\n" for row in rows) + more)
    with pytest.raises(configuration.ConfigurationError, match=message):
        resolve(tmp_path, targets)


def test_scales_and_soft_clips_come_from_the_table(tmp_path: Path) -> None:
    squash = {"exponent": 0.75, "clip_soft": "table", "scale": "table"}
    entry = {"kind": "tracks", "tracks": ["ENCFF1", "RNA:*"], "unsquash": squash}
    found = targets_of(tmp_path, {"t": entry, "e": {**entry, "each": True}})
    assert found["t"]["unsquash"] == {"exponent": 0.75, "clip_soft": [32, 384, 384], "scale": [2, 0.3, 0.3]}
    assert found["e.ENCFF1"]["unsquash"] == {"exponent": 0.75, "clip_soft": 32, "scale": 2}
    rna = targets_of(tmp_path, {"t": {**entry, "tracks": ["RNA:*"]}})["t"]
    assert rna["unsquash"] == {"exponent": 0.75, "clip_soft": 384, "scale": 0.3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\n", "expected a TSV whose header has identifier, name, description"),
        ("", "found nothing"),
        ("index\tname\n1\ta\n1\tb\n", ":3: track number '1' is no whole number, or occurs twice"),
        ("index\tname\nx\ta\n", ":2: track number 'x'"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_track_table(path)
    path.write_text("name\tx\na\t1\n\nb\tno\n")
    table = read_track_table(path)
    assert table.find("?") == [0, 1]
    with pytest.raises(ValueError, match="track 1 has 'no' in column x; expected a number"):
        table.numbers("x", [0, 1])
    with pytest.raises(ValueError, match="has no column scale; it has name, x"):
        table.numbers("scale", [0])
    with pytest.raises(ValueError, match=r"track 5 is not in .*which has 2 tracks"):
        table.numbers("x", [5])


EXONS = {"kind": "tracks", "intervals": {"bed": "exons.bed"}}


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"variants": {"v": {"analysis": "x", "vcf": "v.vcf"}}}, "variants.v.analysis: targets of x sum"),
        ({"insertions": {"i": {"analysis": "x", "motifs": {"m": "TGACTCA"}, "sites": None}}},
         "insertions.i.analysis: targets of x"),
        ({"evolution": {"e": {"analysis": "x"}}}, "evolution.e.analysis: .*whose targets have a window"),
        ({"comparisons": {"c": {"analyses": ["x"], "uncorrected": ["x"]}}},
         "c.faithfulness: .*faithfulness: null"),
        ({"regions": {"own": {"fasta": "own.fa"}}}, "x.targets: intervals need coordinates, but own"),
    ],
)  # fmt: skip
def test_intervals_of_regions_are_refused_where_there_are_none(
    tmp_path: Path, further: dict[str, Any], message: str
) -> None:
    for target in (EXONS, {"kind": "log", "of": EXONS}):
        with pytest.raises(configuration.ConfigurationError, match=message):
            resolve(tmp_path, {"t": target}, further=further)
    resolve(tmp_path, {"t": {"kind": "tracks", "window": [-4, 4]}}, further=further)


def test_comparisons_without_faithfulness_take_intervals(tmp_path: Path) -> None:
    own = {"analyses": ["x"], "uncorrected": ["x"], "faithfulness": None}
    resolve(tmp_path, {"t": EXONS}, further={"comparisons": {"c": own}})


def test_files_of_intervals_are_inputs_of_the_targets_that_read_them(tmp_path: Path) -> None:
    ratio = {"kind": "ratio", "a": EXONS, "b": {"kind": "sum", "parts": [EXONS, {"kind": "output"}]}}
    found = resolve(tmp_path, {"t": ratio, "u": {"kind": "output"}})
    assert interval_files(found["analyses"]["x"]["targets"]) == ["exons.bed"]
    assert interval_files({"u": {"kind": "output"}}) == []
    missing = missing_files(found, tmp_path)
    assert "analyses.x.targets, intervals.bed: no such file: exons.bed" in missing
