"""The lexicon: each planted word once, in any order of inputs, composites by both words, signs apart."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.lexicon.combine import LexiconSettings, combine_lexicon
from cislex.lexicon.files import MEMBER_COLUMNS, WORD_COLUMNS, LexiconFiles
from cislex.lexicon.patterns import PatternSource
from cislex.motifs.files import read_meme, read_motifs
from lexicon_fixtures import FILES, WORDS, combine, files_in, pattern, write_database, write_modisco
from sklearn.metrics import adjusted_rand_score

Given = dict[str, Any]
FEW = 0.15


def planted(seed: int, targets: int = 6, noise: float = FEW) -> dict[str, list[Given]]:
    """Noisy copies of every word in every target, shifted and turned at random; some twice."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[Given]] = {}
    for target in range(targets):
        found[f"t{target}"] = [
            pattern(
                text,
                rng,
                n=int(rng.integers(30, 900)),
                shift=int(rng.integers(-8, 9)),
                turned=bool(rng.integers(2)),
                noise=noise,
                sign=-1 if number == 5 else 1,
            )
            for number, text in enumerate(WORDS)
            for _ in range(1 + (number + target) % 2)
        ]
    return found


def read(path: Any) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def truth_of(members: pd.DataFrame, lexicon: pd.DataFrame) -> list[str]:
    """Which planted word each pattern is, by its consensus on either strand."""
    turn = str.maketrans("ACGT", "TGCA")
    found = []
    for text in members["consensus"].str.upper().str.strip("."):
        alike = {
            word: max(
                sum(a == b for a, b in zip(one[shift:], other, strict=False))
                for one, other in itertools.product(
                    (text, "." * 6 + text), (word, word.translate(turn)[::-1])
                )
                for shift in range(12)
            )
            for word in WORDS
        }
        found.append(max(alike, key=lambda word: alike[word]))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_each_planted_word_is_found_once_with_its_name(seed: int, tmp_path: Path) -> None:
    database = write_database(tmp_path / "known.meme")
    files = combine(tmp_path, planted(seed), databases={"known": database})
    lexicon, members = read(files.table), read(files.members)
    assert adjusted_rand_score(truth_of(members, lexicon), members["word"]) >= 0.95
    assert sorted(lexicon["name"]) == [f"FACTOR{number}" for number in range(len(WORDS))]
    assert lexicon["sign"].tolist() == ["+"] * 5 + ["-"]
    assert (lexicon["n_targets"] == 6).all()
    assert lexicon["composite_of"].eq("").all()
    assert len(members) == lexicon["n_patterns"].sum() == 54


def test_the_files_are_the_same_to_the_byte_in_any_order(tmp_path: Path) -> None:
    database = write_database(tmp_path / "known.meme")
    given = planted(0, targets=3)
    sources = [
        PatternSource("b" if name == "t0" else "a", name, write_modisco(tmp_path / f"{name}.h5", patterns))
        for name, patterns in given.items()
    ]
    found = []
    for number, order in enumerate(itertools.permutations(sources)):
        files = files_in(tmp_path / str(number))
        combine_lexicon(order, files, databases={"known": database})
        found.append([(tmp_path / str(number) / name).read_bytes() for name in FILES])
    assert all(one == found[0] for one in found)


def test_words_do_not_depend_on_the_names_of_analyses(tmp_path: Path) -> None:
    given = planted(1, targets=2)
    tables = []
    for names in (("x", "y"), ("z", "a")):
        folder = tmp_path / names[0]
        folder.mkdir()
        files = combine(folder, dict(zip(names, given.values(), strict=True)))
        tables.append(Path(files.table).read_bytes())
    assert tables[0] == tables[1]


def test_the_lexicon_of_one_target_is_its_motifs(tmp_path: Path) -> None:
    files = combine(tmp_path, {"t": planted(2, targets=1)["t0"]})
    before, after = read_motifs(tmp_path / "t.h5"), read_motifs(files.modisco)
    assert [(m.name, m.n_seqlets, m.start, m.end) for m in before] == [
        (m.name, m.n_seqlets, m.start, m.end) for m in after
    ]
    for one, other in zip(before, after, strict=True):
        for name in ("ppm", "cwm", "hypothetical"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)
    members = read(files.members)
    assert (members["word"] == members["motif"]).all()
    assert (members["orientation"] == ["-" if m.is_reversed else "+" for m in before]).all()
    assert (members["offset"] == 0).all()


def test_a_word_is_the_seqlet_weighted_mean_of_its_aligned_patterns(tmp_path: Path) -> None:
    text = WORDS[0]
    files = combine(
        tmp_path,
        {
            "a": [pattern(text, n=300, weights=np.full(11, 1.0))],
            "b": [pattern(text, n=100, weights=np.full(11, 3.0), shift=4, turned=True)],
        },
    )
    (word,) = read_motifs(files.modisco)
    (alone,) = read_motifs(tmp_path / "a.h5")
    assert word.n_seqlets == 400
    np.testing.assert_allclose(word.core_cwm, alone.core_cwm * (300 * 1 + 100 * 3) / 400)
    np.testing.assert_allclose(word.ppm.sum(axis=0), 1)
    members = read(files.members).set_index("target")
    np.testing.assert_allclose(members["similarity"].astype(float), 1)
    assert members["orientation"].nunique() == 2


def test_members_align_with_their_word_as_the_table_says(tmp_path: Path) -> None:
    files = combine(tmp_path, planted(3, targets=3))
    lexicon = read(files.table).set_index("word")
    with h5py.File(files.modisco) as words:
        for row in read(files.members).itertuples():
            with h5py.File(tmp_path / f"{row.target}.h5") as handle:
                cwm = handle[row.pattern]["contrib_scores"][()]
            if row.orientation == "-":
                cwm = cwm[::-1, ::-1]
            word = words[lexicon.loc[row.word, "pattern"]]["contrib_scores"][()]
            start, end = lexicon.loc[row.word, ["trim_start", "trim_end"]]
            offset = int(row.offset)
            one, other = word[start:end].ravel(), cwm[start - offset : end - offset].ravel()
            assert np.corrcoef(one, other)[0, 1] > 0.9


def test_seqlets_are_placed_where_the_word_lies_on_them(tmp_path: Path) -> None:
    text = WORDS[0]
    targets = {"a": [pattern(text, n=300)], "b": [pattern(text, n=100, shift=4, turned=True)]}
    files = combine(tmp_path, targets)
    (motif,) = read_motifs(files.modisco)
    with h5py.File(files.modisco) as handle:
        assert handle.attrs["window_size"] == 200
        seqlets = {name: data[()] for name, data in handle[motif.pattern]["seqlets"].items()}
    assert len(seqlets["start"]) == 400
    np.testing.assert_array_equal(np.bincount(seqlets["source"]), [300, 100])
    for source, shift, turned in ((0, 0, False), (1, 4, True)):
        chosen = seqlets["source"] == source
        rows = np.arange(chosen.sum())
        begin, reverse = 20 + rows % 100, rows % 3 == 0
        # The word's text begins at this column of the pattern as written, seen from its left end.
        left = (50 - len(text)) // 2 + shift
        left = 50 - left - len(text) if turned else left
        site = np.where(reverse, begin + 50 - left - len(text), begin + left)
        core = np.where(
            seqlets["is_revcomp"][chosen] == 1,
            seqlets["end"][chosen] - motif.end,
            seqlets["start"][chosen] + motif.start,
        )
        np.testing.assert_array_equal(core, site)


def test_positive_and_negative_patterns_are_kept_apart(tmp_path: Path) -> None:
    both = [pattern(WORDS[0], n=200), pattern(WORDS[0], n=100, sign=-1)]
    files = combine(tmp_path, {"a": both, "b": both})
    lexicon = read(files.table)
    assert lexicon["word"].tolist() == ["pos_0", "neg_0"]
    assert lexicon["sign"].tolist() == ["+", "-"]
    assert lexicon["n_patterns"].tolist() == [2, 2]


def composite(one: str, gap: int, other: str, *, second: float = 1.0, **options: Any) -> Given:
    weights = [1.0] * len(one) + [0.0] * gap + [second] * len(other)
    return pattern(one + "." * gap + other, weights=weights, **options)


RC = str.maketrans("ACGT", "TGCA")


@pytest.mark.parametrize("gap", [0, 7, 18, 24])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("second", [1.0, 0.6])
def test_a_composite_is_named_by_both_words_with_their_gap(
    gap: int, turned: bool, second: float, tmp_path: Path
) -> None:
    database = write_database(tmp_path / "known.meme")
    one, other = WORDS[1], WORDS[3].translate(RC)[::-1]
    simple = [pattern(text, n=200, shift=3, turned=turned) for text in (WORDS[1], WORDS[3])]
    pair = composite(one, gap, other, n=60, turned=turned, second=second)
    files = combine(
        tmp_path, {"a": [*simple, pair], "b": simple}, databases={"known": database}
    )  # fmt: skip
    lexicon = read(files.table).set_index("word")
    assert lexicon.index.tolist() == ["pos_0", "pos_1", "pos_composite_0"]
    assert lexicon["match"].iloc[2] == ""
    members = read(files.members).set_index(["target", "motif"])
    assert members.loc[("a", "pos_2"), "word"] == "pos_composite_0"
    name, parts = lexicon.loc["pos_composite_0", ["name", "composite_of"]]
    signs = dict(zip(lexicon.index[:2], lexicon["name"].iloc[:2], strict=True))
    left, distance, right = parts.split()
    assert int(distance) == gap
    assert {signs[left[:5]], signs[right[:5]]} == {"FACTOR1", "FACTOR3"}
    assert name == f"{signs[left[:5]]}{left[5:]} –{gap} bp– {signs[right[:5]]}{right[5:]}"
    assert {motif.identifier for motif in read_meme(files.meme)} == {"pos_0", "pos_1"}
    assert [motif.name for motif in read_motifs(files.modisco)] == ["pos_0", "pos_1"]


def test_the_orientations_of_a_composite_are_those_of_its_words(tmp_path: Path) -> None:
    simple = [pattern(text, n=200) for text in (WORDS[1], WORDS[3])]
    texts = (WORDS[1], WORDS[1].translate(RC)[::-1])
    pairs = [composite(text, 5, WORDS[3], n=60 - number) for number, text in enumerate(texts)]
    found = read(combine(tmp_path, {"a": [*simple, *pairs], "b": simple}).table)
    parts = [text.split() for text in found.loc[found["composite_of"] != "", "composite_of"]]
    same = [left[-2] == right[-2] for left, _, right in parts]
    assert len(parts) == 2
    assert same.count(True) == 1


@pytest.mark.parametrize(("cut", "expected"), [(3, "FACTOR1"), (6, "[ATG]")])
def test_a_composite_cut_by_the_end_of_its_matrices_is_not_named_after_the_other_half(
    cut: int, expected: str, tmp_path: Path
) -> None:
    """Of TGACTCATG six bases tell the word; of three only that there is something else."""
    database = write_database(tmp_path / "known.meme")
    simple = [pattern(text, n=200) for text in (WORDS[1], WORDS[3])]
    width = len(WORDS[1]) - cut + 20 + len(WORDS[3])
    pair = composite(WORDS[1][cut:], 20, WORDS[3], n=60, shift=-((50 - width) // 2))
    files = combine(tmp_path, {"a": [*simple, pair], "b": simple}, databases={"known": database})
    lexicon = read(files.table).set_index("word")
    assert lexicon.index.tolist() == ["pos_0", "pos_1", "pos_composite_0"]
    name = lexicon.loc["pos_composite_0", "name"]
    assert re.sub(r"\([+-]\)", "", name) in (f"{expected} –20 bp– FACTOR3", f"FACTOR3 –20 bp– {expected}")


def test_a_variant_with_bases_beside_it_is_no_composite(tmp_path: Path) -> None:
    simple, longer = pattern(WORDS[1], n=200), pattern(WORDS[1] + "CCGTA", n=100)
    lexicon = read(combine(tmp_path, {"a": [simple, longer], "b": [simple]}).table)
    assert lexicon["composite_of"].tolist() == ["", ""]


def test_one_word_twice_at_a_distance_is_a_composite(tmp_path: Path) -> None:
    simple = [pattern(WORDS[5], n=300)]
    pair = composite(WORDS[5], 4, WORDS[5], n=80)
    lexicon = read(combine(tmp_path, {"a": [*simple, pair], "b": simple}).table)
    assert lexicon["composite_of"].tolist()[1] in {"pos_0(+) 4 pos_0(+)", "pos_0(-) 4 pos_0(-)"}


def test_a_word_is_no_composite_of_its_fragments(tmp_path: Path) -> None:
    whole = pattern(WORDS[4], n=1000)
    fragments = [pattern(WORDS[4][:6], n=40), pattern(WORDS[4][8:], n=40)]
    lexicon = read(combine(tmp_path, {"a": [whole, *fragments], "b": [whole]}).table)
    assert lexicon["composite_of"].eq("").all()


def test_noise_is_left_out_and_listed(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    noise = {"matrices": [rng.dirichlet(np.full(4, 80), 50).T, rng.normal(0, 1, (4, 50)), np.ones((4, 50))],
             "n": 90, "sign": 1}  # fmt: skip
    files = combine(tmp_path, {"a": [pattern(WORDS[0]), noise], "b": [pattern(WORDS[0])]})
    members = read(files.members)
    assert len(read(files.table)) == 1
    assert members["left_out"].tolist() == ["", "low information; wide", ""]
    assert members["word"].tolist() == ["pos_0", "", "pos_0"]


def test_a_wide_pattern_that_is_no_composite_is_left_out(tmp_path: Path) -> None:
    wide = pattern("".join(WORDS)[:44], n=90)
    members = read(combine(tmp_path, {"a": [pattern(WORDS[0]), wide], "b": [pattern(WORDS[0])]}).members)
    assert members["left_out"].tolist() == ["", "wide", ""]


def test_no_pattern_anywhere_makes_valid_files(tmp_path: Path) -> None:
    database = write_database(tmp_path / "known.meme")
    files = combine(tmp_path, {"a": [], "b": []}, databases={"known": database})
    for path, columns in ((files.table, WORD_COLUMNS), (files.members, MEMBER_COLUMNS)):
        assert read(path).empty
        assert read(path).columns.tolist() == columns
    assert read_motifs(files.modisco) == []
    assert read_meme(files.meme) == []


def test_one_pattern_in_all_is_one_word(tmp_path: Path) -> None:
    files = combine(tmp_path, {"a": [], "b": [pattern(WORDS[0], n=70)]})
    assert read(files.table)["word"].tolist() == ["pos_0"]


def test_a_negative_lexicon_has_no_positive_group(tmp_path: Path) -> None:
    only = [pattern(text, sign=-1) for text in WORDS[:2]]
    files = combine(tmp_path, {"a": only, "b": only})
    assert [motif.name for motif in read_motifs(files.modisco)] == ["neg_0", "neg_1"]
    with h5py.File(files.modisco) as handle:
        assert list(handle) == ["neg_patterns"]


def test_bad_input_is_refused_with_its_name(tmp_path: Path) -> None:
    path = write_modisco(tmp_path / "a.h5", [pattern(WORDS[0])])
    files: LexiconFiles = files_in(tmp_path / "out")
    with pytest.raises(InputError, match="no target was given"):
        combine_lexicon([], files)
    with pytest.raises(InputError, match="more than once: x / t"):
        combine_lexicon([PatternSource("x", "t", path)] * 2, files)
    (tmp_path / "empty.meme").write_text("MEME version 4\n")
    with pytest.raises(InputError, match=r"without a motif: mine \(.*empty.meme\)"):
        combine_lexicon([PatternSource("x", "t", path)], files, databases={"mine": tmp_path / "empty.meme"})
    with pytest.raises(ConfigError, match=r"min_similarity = 1\.5; expected"):
        LexiconSettings(min_similarity=1.5)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_database_with_the_smaller_q_names_a_word(tmp_path: Path) -> None:
    databases = {
        "a": write_database(tmp_path / "a.meme", WORDS[:1]),
        "b": write_database(tmp_path / "b.meme", WORDS[1:2], seed=6),
    }
    files = combine(tmp_path, {"t": [pattern(WORDS[0], n=9), pattern(WORDS[1], n=8)]}, databases=databases)
    lexicon = read(files.table)
    assert lexicon["database"].tolist() == ["a", "b"]
    assert lexicon["name"].tolist() == ["FACTOR0", "FACTOR0.2"]


def test_a_word_without_a_match_is_called_by_its_consensus(tmp_path: Path) -> None:
    database = write_database(tmp_path / "known.meme", (), seed=8)
    lexicon = read(combine(tmp_path, {"t": [pattern(WORDS[0])]}, databases={"k": database}).table)
    assert lexicon["name"].tolist() == lexicon["consensus"].tolist()
    assert float(lexicon["match_q"].iloc[0]) > 0.05
