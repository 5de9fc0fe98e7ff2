"""Seqlets: tangermeme's spans, how many of them are chance, and what they are called."""

from __future__ import annotations

from pathlib import Path

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.motifs.files import MemeMotif, write_meme
from cislex.motifs.hits import call_hits, read_hits
from cislex.motifs.scanning import ScanSettings
from cislex.motifs.seqlet_names import name_seqlets
from cislex.motifs.seqlets import (
    COLUMNS,
    SeqletSettings,
    call_seqlets,
    false_discovery_rates,
    find_seqlets,
    read_seqlets,
)
from tangermeme.seqlet import recursive_seqlets

COMMON, RARE, LOW = "TTACCCGGT", "CACGTGACCA", "TGACTCATC"


def matrix(text: str) -> np.ndarray:
    return np.array([[0.97 if base == letter else 0.01 for letter in text] for base in "ACGT"])


def known(texts: list[str], others: int = 30) -> list[MemeMotif]:
    rng = np.random.default_rng(9)
    drawn = ["".join(rng.choice(list("ACGT"), 9)) for _ in range(others)]
    found = []
    for n, text in enumerate([*texts, *drawn]):
        ppm = matrix(text) + 0.2 * rng.dirichlet([0.5] * 4, len(text)).T  # columns differ as real ones do
        found.append(MemeMotif(f"M{n}", text, ppm / ppm.sum(axis=0), 20))
    return found


def plant(
    count: int = 60, length: int = 150
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int, str, str]]]:
    """Noise, one common and one rare motif that raise, and one that lowers, turned in every second region."""
    rng = np.random.default_rng(3)
    sequences = np.eye(4)[rng.integers(0, 4, (count, length))].transpose(0, 2, 1).copy()
    hypothetical = rng.laplace(0, 0.01, (count, 4, length))
    sites = []
    for row in range(count):
        for text, start, sign in ((COMMON, 20, 1), (RARE, 60, 1), (LOW, 100, -1)):
            if text == RARE and row not in (7, 30, 31):
                continue
            site, score = (matrix(text) > 0.5) * 1.0, 0.2 * sign * (matrix(text) - 0.25)
            turned = row % 2 == 1
            if turned:
                site, score = motif_fixtures.reverse(site), motif_fixtures.reverse(score)
            place = slice(start, start + len(text))
            sequences[row, :, place], hypothetical[row, :, place] = site, score
            sites.append((row, start, text, "-" if turned else "+"))
    return sequences, hypothetical, sites


@pytest.fixture(scope="module")
def attributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sequences, hypothetical, _ = plant()
    regions = motif_fixtures.make_regions(len(sequences))
    regions["end"] = regions["start"] + sequences.shape[2]
    path = tmp_path_factory.mktemp("seqlets") / "attributions.h5"
    motif_fixtures.write_attributions(path, sequences, hypothetical, regions)
    return path


def contributions() -> np.ndarray:
    sequences, hypothetical, _ = plant()
    return (sequences * hypothetical).sum(axis=1).astype(np.float32)


def test_spans_and_p_values_are_those_of_tangermeme() -> None:
    values = contributions()
    found = find_seqlets(values.copy(), SeqletSettings(max_q=1))
    for sign, factor in (("+", 1), ("-", -1)):
        peer = recursive_seqlets(factor * values).sort_values(["example_idx", "start"], ignore_index=True)
        own = found[found["sign"] == sign].reset_index(drop=True)
        if sign == "+":
            np.testing.assert_array_equal(own[["row", "start", "end"]], peer.iloc[:, :3])
            np.testing.assert_array_equal(own["p"], peer["p-value"])
        merged = own.merge(peer, left_on=["row", "start", "end"], right_on=["example_idx", "start", "end"])
        assert len(merged) == len(own) > 50
        np.testing.assert_allclose(merged["contribution"], factor * merged["attribution"])
        np.testing.assert_array_equal(merged["p"], merged["p-value"])


def test_planted_seqlets_are_found_and_noise_is_not() -> None:
    found = find_seqlets(contributions(), SeqletSettings())
    _, _, sites = plant()
    inside = np.zeros(len(found), dtype=bool)
    for row, start, text, _ in sites:
        own = (found["row"] == row) & (found["start"] < start + len(text)) & (found["end"] > start)
        assert own.any(), (row, text)
        assert (found.loc[own, "sign"] == ("-" if text == LOW else "+")).all()
        inside |= own.to_numpy()
    assert (~inside).mean() <= 0.1
    assert found["q"].max() <= 0.05


def test_the_result_depends_on_no_order_of_regions() -> None:
    values = contributions()
    found, turned = (find_seqlets(v, SeqletSettings()) for v in (values.copy(), values[::-1].copy()))
    turned["row"] = len(values) - 1 - turned["row"]
    turned = turned.sort_values(["row", "start"], ignore_index=True)
    pd.testing.assert_frame_equal(found, turned)


def test_false_discovery_rates_count_seqlets_by_chance() -> None:
    p = np.array([0.01, 1e-6, 1e-3, 1e-4])
    rates = false_discovery_rates(p, np.array([5e-3, 5e-4, 2e-3, 0.5]), 10)
    # At 1e-6: 1/10 over 1; at 1e-4: 1/10 over 2; at 1e-3: 2/10 over 3; at 0.01: 4/10 over 4.
    np.testing.assert_allclose(rates, [0.1, 0.05, 0.2 / 3, 0.05])


@pytest.mark.parametrize("shape", [(0, 100), (5, 100), (3, 3)])
def test_nothing_to_find_is_a_result(shape: tuple[int, int]) -> None:
    assert find_seqlets(np.zeros(shape, dtype=np.float32), SeqletSettings()).empty


def test_one_region_is_enough() -> None:
    found = find_seqlets(contributions()[7:8], SeqletSettings())
    assert found["sign"].tolist() == ["+", "+", "-"]


def test_rare_motifs_are_named_and_words_have_their_sign(attributions: Path, tmp_path: Path) -> None:
    write_meme(known([COMMON, RARE, LOW]), tmp_path / "known.meme")
    words = [MemeMotif("pos_0", "common", matrix(COMMON), 9), MemeMotif("neg_0", "low", matrix(LOW), 9)]
    write_meme(words, tmp_path / "lexicon.meme")
    out = tmp_path / "seqlets.tsv.gz"
    table = call_seqlets(
        attributions, out, databases={"mine": tmp_path / "known.meme"}, words=tmp_path / "lexicon.meme"
    )
    assert list(table.columns) == COLUMNS
    regions = motif_fixtures.make_regions(60)
    for row, start, text, strand in plant()[2]:
        region = regions.iloc[row]
        is_minus = region["strand"] == "-"
        begin = region["start"] + (150 - start - len(text) if is_minus else start)
        own = table[
            (table["name"] == region["name"]) & (table["start"] < begin + len(text)) & (table["end"] > begin)
        ]
        best = own.loc[own["q"].idxmin()]
        assert (best["chrom"], best["match_name"], best["database"]) == (region["chrom"], text, "mine")
        assert best["match_q"] <= 0.05
        assert best["word"] == {COMMON: "pos_0", LOW: "neg_0", RARE: ""}[text]
        if text != RARE or best["strand"] != ".":
            assert best["strand"] == ("+-"[(strand == "-") != is_minus])
    assert set(table["null"]) == {"tomtom"}
    read = read_seqlets(out)
    pd.testing.assert_frame_equal(read, table, check_dtype=False, rtol=1e-5)


def test_errors_of_contributions_are_written_where_attributions_keep_them(
    attributions: Path, tmp_path: Path
) -> None:
    """Hits and seqlets of both strands: the spread of four references is one over the bases from 1 on."""
    with h5py.File(attributions) as given, h5py.File(tmp_path / "a.h5", "w") as handle:
        for name in given:
            given.copy(name, handle)
        rows, length = given["baseline"].shape
        handle["reference_spread"] = np.tile(1 / np.arange(1, length + 1), (rows, 1))
        handle["delta"] = np.zeros((rows, 1, 4))
        handle.attrs["folds"] = '["one"]'
    write_meme(known([COMMON]), tmp_path / "known.meme")
    call_hits(
        tmp_path / "a.h5", tmp_path / "known.meme", tmp_path / "hits.bed.gz", ScanSettings(), analysis="x"
    )
    seqlets = call_seqlets(tmp_path / "a.h5", tmp_path / "s.tsv.gz")
    regions = motif_fixtures.make_regions(60).set_index("name")
    for table, region in ((read_hits(tmp_path / "hits.bed.gz"), "region"), (seqlets, "name")):
        assert table.columns[-1] == "contribution_error"
        assert len(table) > 50
        for row in table.head(60).to_dict("records"):
            own = regions.loc[row[region]]
            low, high = row["start"] - own["start"], row["end"] - own["start"]
            if own["strand"] == "-":
                low, high = 150 - high, 150 - low
            expected = (1 / np.arange(low + 1, high + 1)).sum() / 2
            assert row["contribution_error"] == pytest.approx(expected, rel=1e-4)
    assert "contribution_error" not in call_seqlets(attributions, tmp_path / "s.tsv.gz")


def test_with_few_known_motifs_shuffled_columns_decide(attributions: Path, tmp_path: Path) -> None:
    write_meme(known([COMMON, "GTCGATCCTA"], others=0), tmp_path / "few.meme")
    table = call_seqlets(attributions, tmp_path / "s.tsv.gz", databases={"few": tmp_path / "few.meme"})
    assert set(table["null"]) == {"shuffled"}
    sure = table[table["match_q"] <= 0.05]
    assert set(sure["match_name"]) == {COMMON}
    assert len(sure) >= 55
    assert (sure["sign"] == "+").mean() > 0.95


@pytest.mark.parametrize("others", [40, 1])
def test_names_of_random_spans_are_as_rare_as_their_p_values_say(tmp_path: Path, others: int) -> None:
    rng = np.random.default_rng(6)
    count, length = 60, 100
    sequences = np.eye(4)[rng.integers(0, 4, (count, length))].transpose(0, 2, 1)
    path = tmp_path / "a.h5"
    motif_fixtures.write_attributions(
        path, sequences, rng.laplace(0, 1, (count, 4, length)), motif_fixtures.make_regions(count)
    )
    start = np.tile([5, 25, 45, 65, 85], count)
    spans = pd.DataFrame({"row": np.repeat(np.arange(count), 5), "start": start})
    spans["end"] = spans["start"] + rng.integers(5, 13, len(spans))
    spans = spans.assign(sign="+", p=rng.uniform(size=len(spans)), contribution=0.0)
    with h5py.File(path) as handle:
        names = name_seqlets(handle, spans, {"mine": known([COMMON], others)}, None, threads=1)
    assert (names["match_p"] <= 0.05).mean() <= 0.1
    assert (names["match_p"] <= 0.5).mean() <= 0.65
    assert (names["match_q"] > 0.05).all()
    assert set(names["null"]) == {"tomtom" if others > 25 else "shuffled"}


def test_without_databases_and_lexicon_seqlets_have_no_names(attributions: Path, tmp_path: Path) -> None:
    table = call_seqlets(attributions, tmp_path / "s.tsv.gz", SeqletSettings(window=51))
    assert (table[["match", "word", "null"]] == "").all(axis=None)
    assert set(table["strand"]) == {"."}
    assert set(table["sign"]) == {"+"}, "only the middle 51 bases were searched"


def test_wrong_settings_and_attributions_are_named(attributions: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="window is 151, but regions are 150"):
        call_seqlets(attributions, tmp_path / "s.tsv.gz", SeqletSettings(window=151))
    with pytest.raises(ConfigError, match=r"seqlets.max_q is 0"):
        SeqletSettings(max_q=0)
    with pytest.raises(ConfigError, match="min_length is 9 and max_length 8"):
        SeqletSettings(min_length=9, max_length=8)
    sequences, hypothetical, _ = plant(3)
    hypothetical[1, 0, 5] = np.nan
    motif_fixtures.write_attributions(
        tmp_path / "a.h5", sequences, hypothetical, motif_fixtures.make_regions(3)
    )
    with pytest.raises(InputError, match="NaN or infinite in rows 1"):
        call_seqlets(tmp_path / "a.h5", tmp_path / "s.tsv.gz")
    assert not (tmp_path / "s.tsv.gz").exists()
