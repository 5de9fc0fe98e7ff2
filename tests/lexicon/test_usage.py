"""Usage: counts add up over patterns, hits are those of the word, and AnnData opens the matrix."""

from __future__ import annotations

import runpy
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError, StorageError
from cislex.files.indexed_text import write_indexed_bed
from cislex.files.tables import write_regions, write_table
from cislex.lexicon.combine import combine_lexicon
from cislex.lexicon.files import LexiconFiles
from cislex.lexicon.patterns import PatternSource
from cislex.lexicon.usage import COLUMNS, LAYERS, UsageSource
from cislex.motifs.hits import COLUMNS as HIT_COLUMNS
from lexicon_fixtures import WORDS, combine, files_in, pattern, summarise, write_modisco

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [UsageSource("analysis", "a"), UsageSource("analysis", "b")]
WEAK = pattern(WORDS[0], n=50, weights=np.full(11, 0.5))


def write_hits(path: Path, *rows: tuple[str, str, int, str], width: int = 11) -> Path:
    """Hits: word, chromosome, start and region; each contributes as much as its number."""
    frame = pd.DataFrame(rows, columns=["word", "#chrom", "start", "region"])
    frame = frame.assign(end=frame["start"] + width, strand="+", contribution=np.arange(1, len(rows) + 1.0))
    write_indexed_bed(frame.reindex(columns=HIT_COLUMNS).sort_values(["#chrom", "start"]), path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> LexiconFiles:
    given = {"a": [pattern(WORDS[0], n=150), WEAK], "b": [pattern(WORDS[1], n=80)]}
    return combine(tmp_path_factory.mktemp("lexicon"), given)


def read(path: str | Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def test_usage_adds_up_over_patterns_and_counts_hits_of_words_that_no_pattern_belongs_to(
    files: LexiconFiles, tmp_path: Path
) -> None:
    rows = [("pos_0", "chr1", 5, "r1"), ("pos_0", "chr1", 30, "r1"), ("pos_1", "chr2", 7, "r2")]
    hits = write_hits(tmp_path / "hits.bed.gz", *rows)
    table = summarise(files, [UsageSource("analysis", "a", hits), SOURCES[1]])
    usage = read(table).set_index(["word", "target"])
    assert usage.index.tolist() == [(word, target) for word in ("pos_0", "pos_1") for target in "ab"]
    first, other = usage.loc[("pos_0", "a")], usage.loc[("pos_1", "a")]
    assert [first[name] for name in ("n_seqlets", "n_regions", "n_patterns", "sign")] == [200, 75, 2, "+"]
    assert [int(first["n_hits"]), int(first["n_hit_regions"])] == [2, 1]
    assert float(first["mean_hit_contribution"]) == 1.5
    strong = float((pattern(WORDS[0])["matrices"][1]).sum())
    assert float(first["mean_contribution"]) == pytest.approx(strong * (150 + 50 * 0.5) / 200, rel=1e-5)
    assert [other[name] for name in ("n_seqlets", "n_regions", "mean_contribution")] == [0, 0, ""]
    assert [int(other["n_hits"]), float(other["mean_hit_contribution"])] == [1, 3.0]
    assert usage.loc["pos_0"]["n_hits"]["b"] == ""


def write_places(path: Path, count: int, *, direct: bool = False) -> Path:
    """Regions of 200 bp, every second on the minus strand; what usage reads of ``attributions.h5``."""
    number = np.arange(count)
    start = np.zeros(count, int) if direct else 1000 * number
    frame = pd.DataFrame({"chrom": "" if direct else "chr1", "start": start, "end": start + 200})
    frame = frame.assign(
        name=[f"r{n}" for n in number], strand="." if direct else np.where(number % 2, "-", "+")
    )
    with h5py.File(path, "w") as handle:
        write_regions(handle, frame)
    return path


@pytest.mark.parametrize("direct", [False, True])
def test_recall_is_the_share_of_seqlets_that_a_hit_of_their_word_covers(
    files: LexiconFiles, tmp_path: Path, direct: bool
) -> None:
    """On both strands; not by a hit that shares less than half, nor by one of another word."""
    rows = []
    for region in range(40):  # the seqlets of region r begin at 20 + 2 r, the word 20 to 22 later
        low = 20 + 2 * region + 20
        shift, word = (8, "pos_1") if 10 <= region < 20 else (1, "pos_0" if region >= 20 else "pos_1")
        if direct:
            rows.append((word, f"r{region}", low + shift, f"r{region}"))
        else:
            place = 200 - low - 9 - shift if region % 2 else low + shift
            rows.append((word, "chr1", 1000 * region + place, f"r{region}"))
    hits = write_hits(tmp_path / "hits.bed.gz", *rows, width=9)
    places = write_places(tmp_path / "attributions.h5", 40, direct=direct)
    table = summarise(files, [SOURCES[0], UsageSource("analysis", "b", hits, places)])
    recall = read(table).set_index(["word", "target"])["seqlet_recall"]
    assert float(recall["pos_1", "b"]) == 0.25
    assert recall["pos_0", "b"] == recall["pos_1", "a"] == ""
    too_few = write_places(tmp_path / "few.h5", 39, direct=direct)
    with pytest.raises(StorageError, match=r"row 39 of attributions.h5, which has 39 rows"):
        summarise(files, [SOURCES[0], UsageSource("analysis", "b", hits, too_few)])


def test_composites_have_no_hits_and_words_without_any_have_none(tmp_path: Path) -> None:
    pair = pattern(WORDS[1] + "." * 5 + WORDS[3], n=60, weights=[1.0] * 9 + [0.0] * 5 + [1.0] * 10)
    simple = [pattern(text, n=200) for text in (WORDS[1], WORDS[3])]
    files = combine(tmp_path, {"a": [*simple, pair], "b": simple})
    hits = write_hits(tmp_path / "hits.bed.gz", ("pos_0", "chr1", 5, "r1"))
    usage = read(summarise(files, [UsageSource("analysis", name, hits) for name in "ab"]))
    assert usage["n_hits"].tolist() == ["1", "1", "0", "0", "", ""]
    assert usage["n_seqlets"].tolist()[-2:] == [60, 0]


def test_the_matrix_has_the_layout_that_anndata_documents(files: LexiconFiles, tmp_path: Path) -> None:
    hits = write_hits(tmp_path / "hits.bed.gz", ("pos_0", "chr1", 5, "r1"))
    table = summarise(files, [UsageSource("analysis", "b", hits), SOURCES[0]])
    usage = pd.read_csv(table, sep="\t")
    with h5py.File(table.with_suffix(".h5ad")) as handle:

        def kind(name: str) -> tuple[str, str]:
            return tuple(handle[name].attrs[f"encoding-{key}"] for key in ("type", "version"))

        assert kind("/") == ("anndata", "0.1.0")
        assert set(handle) == {"X", "obs", "var", "layers", "obsm", "varm", "obsp", "varp", "uns"}
        assert {kind(name) for name in ("layers", "obsm", "varm", "obsp", "varp", "uns")} == {
            ("dict", "0.1.0")
        }
        for name in ("obs", "var"):
            group = handle[name]
            assert kind(name) == ("dataframe", "0.2.0")
            assert {*group.attrs["column-order"], group.attrs["_index"]} == set(group)
            assert kind(f"{name}/{group.attrs['_index']}") == ("string-array", "0.2.0")
        assert handle["obs/_index"].asstr()[()].tolist() == ["pos_0", "pos_1"]
        assert handle["var/_index"].asstr()[()].tolist() == ["analysis/a", "analysis/b"]
        assert kind("obs/name") == ("string-array", "0.2.0")
        assert kind("obs/n_seqlets") == kind("X") == ("array", "0.2.0")
        for layer, column in LAYERS.items():
            expected = usage[column].to_numpy().reshape(2, 2)
            np.testing.assert_allclose(handle[f"layers/{layer}"][()], expected, rtol=1e-5)
        np.testing.assert_array_equal(handle["X"][()], usage["n_seqlets"].to_numpy().reshape(2, 2))
        assert np.isnan(handle["layers/hits"][0, 0])


def test_a_lexicon_without_words_has_empty_files(tmp_path: Path) -> None:
    files = combine(tmp_path, {"a": [], "b": []})
    table = summarise(files, SOURCES)
    assert (read(table).columns.tolist(), len(read(table))) == (COLUMNS, 0)
    with h5py.File(table.with_suffix(".h5ad")) as handle:
        assert handle["X"].shape == (0, 2)


def test_files_of_different_runs_are_refused(files: LexiconFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lexicon of other targets: analysis / b"):
        summarise(files, SOURCES[:1])
    strange = write_hits(tmp_path / "new.bed.gz", ("pos_9", "chr1", 5, "r1"))
    with pytest.raises(InputError, match=r"new.bed.gz was not called with the words .*: pos_9"):
        summarise(files, [UsageSource("analysis", "a", strange), SOURCES[1]])
    old = tmp_path / "old.bed.gz"
    write_table(pd.DataFrame({"#chrom": ["chr1"], "start": [1], "end": [9], "motif": ["pos_0"]}), old)
    with pytest.raises(InputError, match="no column `word`"):
        summarise(files, [UsageSource("analysis", "a", old), SOURCES[1]])


def test_the_script_writes_the_same_files_in_any_order_of_targets(tmp_path: Path) -> None:
    sources = [
        PatternSource(name, "t", write_modisco(tmp_path / f"{name}.h5", [pattern(WORDS[0]), WEAK]))
        for name in "ab"
    ]
    files = files_in(tmp_path / "out")
    combine_lexicon(sources, files)
    hits = write_hits(tmp_path / "hits.bed.gz", ("pos_0", "chr1", 5, "r1"))
    one = summarise(files, [UsageSource("a", "t"), UsageSource("b", "t", hits)])
    runpy.run_path(str(ROOT / "scripts" / "summarise_usage.py"))["main"](
        [("b", "t"), ("a", "t")],
        files={"words": files.table, "members": files.members, "modisco": files.modisco},
        hits={0: (hits,)},
        table=tmp_path / "usage.tsv",
        matrix=tmp_path / "usage.h5ad",
    )
    for name in ("usage.tsv", "usage.h5ad"):
        assert (tmp_path / name).read_bytes() == one.with_name(name).read_bytes()
