"""The lexicon's files are read by what reads TF-MoDISco's, and the script writes what the module writes."""

from __future__ import annotations

import runpy
from pathlib import Path

import motif_fixtures
import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.files.tables import write_text
from cislex.lexicon.combine import combine_lexicon
from cislex.lexicon.patterns import PatternSource
from cislex.lexicon.usage import UsageSource
from cislex.motifs.files import read_motifs
from cislex.motifs.hits import HitSettings, call_hits, read_hits
from lexicon_fixtures import (
    FILES,
    WORDS,
    combine,
    files_in,
    pattern,
    summarise,
    write_database,
    write_modisco,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]


def test_hits_of_a_lexicon_of_one_target_are_those_of_its_motifs_under_the_names_of_words(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    files = files_in(tmp_path)
    lexicon = combine_lexicon(
        [PatternSource("demo", "t", found.modisco)], files, databases={"jaspar": planted.database}
    )
    assert lexicon["composite_of"].eq("").all()
    assert set(lexicon["match_q"] < 1e-3) == {True}
    assert lexicon["match"].tolist() == pd.read_csv(found.table, sep="\t")["match_1"].tolist()
    out = tmp_path / "hits.bed.gz"
    call_hits(planted.attributions, files.modisco, out, HitSettings(), analysis="demo", names=files.table)
    hits, own = read_hits(out), read_hits(found.hits)
    pd.testing.assert_frame_equal(hits.drop(columns="motif"), own.drop(columns="motif"))
    names = dict(zip(lexicon["word"], lexicon["name"], strict=True))
    assert hits["motif"].tolist() == [names[word] for word in own["motif"]]
    assert (own["motif"] == own["word"]).all()
    assert (hits["pattern"] == hits["word"].str.replace("_", "_patterns/pattern_")).all()
    source = UsageSource("demo", "t", out, planted.attributions)
    usage = pd.read_csv(summarise(files, [source]), sep="\t").set_index("word")
    assert (usage["seqlet_recall"] > 0.8).all(), usage.to_string()
    assert usage["n_hits"].to_dict() == hits["word"].value_counts().to_dict()
    means = hits.groupby("word")["contribution"].mean()
    np.testing.assert_allclose(usage["mean_hit_contribution"], means[usage.index], rtol=1e-5)
    names = tmp_path / "empty.tsv"
    write_text("word\tname\n", names)
    with pytest.raises(InputError, match="no name for pos_0"):
        call_hits(planted.attributions, files.modisco, out, HitSettings(), analysis="demo", names=names)


def test_modisco_lite_reads_the_lexicon(tmp_path: Path) -> None:
    from modiscolite.io import write_meme_from_h5
    from modiscolite.util import MemeDataType

    given = [pattern(WORDS[0], n=90), pattern(WORDS[1], n=80, sign=-1)]
    files = combine(tmp_path, {"a": given, "b": given})
    write_meme_from_h5(files.modisco, MemeDataType.PFM, tmp_path / "out.meme", True)
    assert (tmp_path / "out.meme").read_text().count("MOTIF") == len(read_motifs(files.modisco)) == 2


def test_the_script_writes_the_same_files(tmp_path: Path) -> None:
    database = write_database(tmp_path / "known.meme")
    path = write_modisco(tmp_path / "a.h5", [pattern(WORDS[0]), pattern(WORDS[1])])
    combine_lexicon([PatternSource("x", "a", path)], files_in(tmp_path / "one"), databases={"d": database})
    names = ("table", "members", "meme", "modisco")
    runpy.run_path(str(ROOT / "scripts" / "combine_lexicon.py"))["main"](
        [("x", "a")],
        [path],
        files={name: tmp_path / "two" / file for name, file in zip(names, FILES, strict=True)},
        databases={"d": database},
        settings={"min_similarity": 0.85, "min_composite_similarity": 0.9, "max_q": 0.05},
        trimming={"trim": 0.3, "min_information": 0.5, "max_width": 40},
        threads=1,
    )
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
