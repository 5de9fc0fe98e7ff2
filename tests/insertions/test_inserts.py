"""What is inserted, where, and into what: each wrong input is named before a model is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.errors import CislexError, ConfigError, InputError
from cislex.insertions.backgrounds import BackgroundSettings, make_backgrounds
from cislex.insertions.constructs import GridSettings, Writer, make_grid
from cislex.insertions.inserts import from_frequencies, from_string, read_inserts, read_words
from cislex.motifs.files import MemeMotif, write_meme
from cislex.sequences.store import SequenceStore
from insertion_fixtures import codes_of, random_codes, write_store
from numpy.testing import assert_array_equal

PPM = np.array([[0.9, 0.05, 0.25, 0.5], [0.05, 0.05, 0.25, 0], [0.05, 0.85, 0.25, 0.5], [0, 0.05, 0.25, 0]])


def test_letters_of_iupac_are_drawn_and_n_keeps_the_background() -> None:
    insert = from_string("x", "acgtRN")
    assert insert.letters == "ACGTRN"
    drawn = np.stack([insert.draw(0, number) for number in range(200)])
    assert (drawn[:, :4] == codes_of("ACGT")).all()
    assert (drawn[:, 5] == 4).all()
    assert np.bincount(drawn[:, 4], minlength=4)[[1, 3]].sum() == 0
    assert 70 < (drawn[:, 4] == 0).sum() < 130
    assert_array_equal(insert.draw(0, 7), drawn[7])


def test_a_consensus_skips_columns_that_say_nothing_and_samples_follow_the_frequencies() -> None:
    consensus = from_frequencies("pos_0", "x", "meme", PPM, form="consensus")
    assert consensus.letters == "AGNA"
    samples = from_frequencies("pos_0", "x", "meme", PPM, form="samples")
    drawn = np.stack([samples.draw(1, number) for number in range(2000)])
    found = np.stack([(drawn == base).mean(axis=0) for base in range(4)])
    assert found == pytest.approx(PPM, abs=0.05)


def test_constructs_hold_their_motifs_and_the_background_elsewhere() -> None:
    inserts = [from_string("a", "TGACTCA"), from_string("b", "CCNGAAGT")]
    grid = make_grid(inserts, GridSettings(pairs="all", distances=(9, 20)), 60)
    writer = Writer(inserts, grid.constructs)
    background = random_codes(1, 60)[0]
    made = writer.write(background, writer.bases(0, 0), slice(0, len(grid.constructs)))
    assert_array_equal(made[0], background)
    row = grid.table.query("kind == 'pair' and insert_a == 0 and insert_b == 1 and orientation == '+-'").iloc[
        1
    ]
    letters = "".join("ACGTN"[base] for base in made[row["construct"]])
    kept = "ACGTN"[background[row["start_b"] + 5]]
    turned = f"ACTTC{kept}GG"
    assert letters[row["start_a"] :][:7] == "TGACTCA"
    assert letters[row["start_b"] :][:8] == turned
    assert row["distance"] == (row["start_b"] + 4) - (row["start_a"] + 3.5) == 20.5
    rest = np.ones(60, bool)
    rest[row["start_a"] : row["start_a"] + 7] = rest[row["start_b"] : row["start_b"] + 8] = False
    assert_array_equal(made[row["construct"]][rest], background[rest])
    part = writer.write(background, writer.bases(0, 0), slice(5, 9))
    assert_array_equal(part, made[5:9])


def test_a_motif_with_itself_has_three_orientations_and_shared_parts_are_made_once() -> None:
    inserts = [from_string("a", "TGACTCA")]
    grid = make_grid(inserts, GridSettings(pairs="all", distances=(10, 12)), 60)
    assert sorted(set(grid.table.query("kind == 'pair'")["orientation"])) == ["++", "+-", "-+"]
    assert len(set(grid.constructs)) == len(grid.constructs) == 1 + 2 + 2 * 3 + 2 * 4


GRIDS = {
    "spacings: x .*overlap at every distance .at most 5 bp": {"pairs": [["x", "x"]], "distances": (3, 5)},
    "take 62 bp; the sequences have 60 bp": {"pairs": [["x", "x"]], "distances": (55,)},
    "orientations: found /\\+": {"pairs": "all", "distances": (9,), "orientations": ("/+",)},
    "pairs: no motif 'xx' is inserted; did you mean x": {"pairs": [["x", "xx"]], "distances": (9,)},
    "pairs: found 'x', expected the names of two": {"pairs": ["x"], "distances": (9,)},
    "pairs: found 'some'": {"pairs": "some", "distances": (9,)},
    "spacings: found \\[\\]": {"pairs": "all", "distances": ()},
}


@pytest.mark.parametrize("message", GRIDS)
def test_a_grid_that_does_not_fit_is_named(message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_grid([from_string("x", "TGACTCA")], GridSettings(**GRIDS[message]), 60)


def test_of_all_pairs_those_that_fit_are_made_and_the_others_counted() -> None:
    inserts = [from_string("x", "TGACTCA"), from_string("wide", "ACGT" * 8)]
    grid = make_grid(inserts, GridSettings(pairs="all", distances=(3, 9, 40), orientations=("--",)), 60)
    pairs = grid.table.query("kind == 'pair'")
    found = pairs[["insert_a", "insert_b", "distance", "orientation"]].to_numpy().tolist()
    assert found == [[0, 0, 9, "++"], [0, 0, 40, "++"], [0, 1, 40.5, "--"]]
    assert (grid.misfits, grid.without) == (6, ["wide and wide"])


def write_lexicon(folder: Path) -> tuple[Path, Path]:
    rows = [("pos_0", "FOS::JUN", ""), ("pos_1", "SPI1", ""), ("pos_2", "FOS(+) - SPI1(+)", "pos_0+pos_1")]
    pd.DataFrame(rows, columns=["word", "name", "composite_of"]).to_csv(
        folder / "lexicon.tsv", sep="\t", index=False
    )
    write_meme(
        [MemeMotif(word, "x", PPM, 9) for word, _, composite in rows if not composite], folder / "l.meme"
    )
    return folder / "lexicon.tsv", folder / "l.meme"


def test_words_are_chosen_by_identifier_or_name_without_composites(tmp_path: Path) -> None:
    files = write_lexicon(tmp_path)
    assert [word.name for word in read_words(*files, None, form="consensus")] == ["FOS::JUN", "SPI1"]
    chosen = read_words(*files, ["SPI1", "pos_1"], form="consensus")
    assert [(word.identifier, word.name) for word in chosen] == [("pos_1", "SPI1")]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("FOS:JUN", r"no word 'FOS:JUN' in the lexicon; did you mean FOS::JUN \(pos_0\)\?"),
        ("qqqqqqq", r"it has FOS::JUN \(pos_0\), SPI1 \(pos_1\)$"),
        ("pos_2", r"pos_2 is made of pos_0\+pos_1; name its parts"),
    ],
)
def test_a_word_that_is_not_there_is_named_with_its_like(tmp_path: Path, word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_words(*write_lexicon(tmp_path), [word], form="consensus")


STRINGS = {
    "motifs.x: found 'J' at 2, 'O' at 4": {"x": "AJAO"},
    "x: found 'NN'": {"x": "NN"},
    "motifs: x .61 bp. are longer than the sequences, which have 60 bp": {"x": "A" * 61},
}


@pytest.mark.parametrize("message", STRINGS)
def test_a_string_that_cannot_be_inserted_is_named(message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_inserts(strings=STRINGS[message], length=60)


def test_two_motifs_of_one_name_and_one_that_says_nothing_are_refused(tmp_path: Path) -> None:
    write_meme([MemeMotif("x", "x", PPM, 9)], tmp_path / "x.meme")
    with pytest.raises(ConfigError, match=r"^motifs: x is the name of two motifs \(meme AGNA, string AAA\)"):
        read_inserts(meme=tmp_path / "x.meme", strings={"x": "AAA"}, length=60)
    with pytest.raises(InputError, match="its consensus is empty"):
        from_frequencies("x", "x", "meme", np.full((4, 3), 0.25), form="consensus")


def backgrounds(folder: Path, codes: np.ndarray, **settings: object) -> tuple[np.ndarray, list[str]]:
    genome = settings.pop("genome", None)
    path = write_store(folder / "sequences.h5", codes)
    with SequenceStore(path) as store:
        return make_backgrounds(BackgroundSettings(**settings), store, genome=genome)  # type: ignore[arg-type]


def test_shuffles_keep_dinucleotides_and_leave_out_regions_with_unknown_bases(tmp_path: Path) -> None:
    codes = random_codes(6, 40)
    codes[1, 3] = codes[4, 39] = 4
    made, names = backgrounds(tmp_path, codes, n=6, seed=1)
    assert made.shape == (6, 40)
    assert len(np.unique(made, axis=0)) == 6  # four regions make six different ones
    assert not {"shuffled r1", "shuffled r4"} & set(names)
    for sequence, name in zip(made, names, strict=True):
        source = codes[int(name.removeprefix("shuffled r"))]
        pairs = [np.bincount(4 * s[:-1].astype(int) + s[1:], minlength=16) for s in (source, sequence)]
        assert_array_equal(*pairs)
    again, _ = backgrounds(tmp_path, codes, n=6, seed=1)
    assert_array_equal(again, made)


def test_windows_of_the_genome_are_windows_of_the_genome(tmp_path: Path) -> None:
    genome = random_codes(1, 5000, seed=2)[0]
    letters = "".join("ACGT"[base] for base in genome)
    (tmp_path / "genome.fa").write_text(f">chr1\n{letters}\n")
    made, _ = backgrounds(tmp_path, random_codes(4, 40), kind="genomic", n=4, genome=tmp_path / "genome.fa")
    turned = letters[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert all("".join("ACGT"[base] for base in window) in letters + "N" + turned for window in made)


FILES = {
    r"must not have unknown bases \(N\); found b \(2 bp\)": (["A" * 40, "NN" + "C" * 38, "G" * 40], {}),
    "most have 40 bp, but not b .39 bp.": (["A" * 40, "C" * 39, "G" * 40], {}),
    "sequences of 20 bp; expected 40 bp": (["A" * 20] * 3, {}),
    "has 3 records; expected backgrounds.n = 4": (["A" * 40] * 3, {"n": 4}),
    "has 2 records; .*at least 3": (["A" * 40] * 2, {}),
}


@pytest.mark.parametrize("message", FILES)
def test_sequences_of_a_file_that_cannot_be_backgrounds_are_named(tmp_path: Path, message: str) -> None:
    records, settings = FILES[message]
    (tmp_path / "own.fa").write_text("".join(f">{n}\n{s}\n" for n, s in zip("abcd", records, strict=False)))
    with pytest.raises(CislexError, match=message):
        backgrounds(
            tmp_path, random_codes(2, 40), kind="fasta", fasta=tmp_path / "own.fa", **{"n": None} | settings
        )


def test_regions_full_of_unknown_bases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 2 regions is without unknown bases"):
        backgrounds(tmp_path, np.full((2, 40), 4, np.uint8))


@pytest.mark.parametrize(
    "settings",
    [{"kind": "random"}, {"n": 2}, {"n": None}, {"kind": "fasta"}, {"fasta": "x.fa"}],
    ids=str,
)
def test_settings_of_backgrounds_that_contradict_each_other_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match="backgrounds"):
        BackgroundSettings(**settings)
