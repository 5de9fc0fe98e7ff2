"""What files of motifs, words, hits and tracks promise to share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pyBigWig

from cislex.errors import offenders
from cislex.files.sealed import open_file
from cislex.files.tables import open_hdf5, read_regions, read_scattered
from cislex.regions.chromosome_table import read_sizes
from cislex.verification.findings import FileReport, Results
from cislex.verification.rows import regions_of
from cislex.verification.tables import column, parts_of

#: Regions of a track whose values are read.
SAMPLED = 200


def compare_patterns(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """Hold ``modisco.h5`` against the attributions that it was found in."""
    name = f"{analysis}/{target}/attributions.h5"

    def fault() -> str | None:
        own, made = results.facts(name), report.facts["attributes"]
        regions, size = len(own["rows"]), int(made["window_size"])
        with open_hdf5(results.path(name), what="attributions") as handle:
            length = int(handle["sequences"].shape[2])
        if (int(made["regions"]), size) != (regions, length):
            return f"is of {made['regions']} regions of {size} bp; {name} has {regions} of {length} bp"
        with open_hdf5(results.path(report.path), what="patterns") as handle:
            for pattern in report.facts["patterns"]:
                seqlets = handle[f"{pattern}/seqlets"]
                row, start, end = (seqlets[key][:] for key in ("example_idx", "start", "end"))
                if ((row < 0) | (row >= regions) | (start < 0) | (end > length)).any():
                    return f"{pattern}: seqlets outside of the regions of {name}"
        return None

    results.compare(report, "attributions.h5", [name], fault)


def compare_motifs(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """Hold ``motifs.tsv`` against ``modisco.h5`` and the logos."""
    folder = f"{analysis}/{target}"
    arrays = f"{folder}/modisco.h5"

    def fault() -> str | None:
        table = column(results.path(report.path), "pattern", "n_seqlets")
        told = dict(zip(table["pattern"], table["n_seqlets"].astype(int), strict=True))
        found = results.facts(arrays)["patterns"]
        wrong = [name for name in {**told, **found} if told.get(name) != found.get(name)]
        return (
            f"patterns or their n_seqlets differ from {arrays}: {offenders(sorted(wrong))}" if wrong else None
        )

    results.compare(report, "modisco.h5", [arrays], fault)
    table = column(results.path(report.path), "motif", "logo", "match_logo")
    wanted = [*table["logo"], *table["match_logo"], *(f"{name}.rc.svg" for name in table["motif"])]
    missing = [name for name in wanted if name and not results.has(f"{folder}/logos/{name}")]
    report.require("logos", not missing, f"logos are missing: {offenders(missing)}")


def compare_meme(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """Hold ``motifs.meme`` against ``motifs.tsv``."""
    _same_names(results, report, f"{analysis}/{target}/motifs.tsv", "motif")


def compare_lexicon_meme(results: Results, report: FileReport, **_: str) -> None:
    """Hold ``lexicon.meme`` against ``lexicon.tsv``, composites left out."""
    _same_names(results, report, "lexicon/lexicon.tsv", "word")


def _same_names(results: Results, report: FileReport, other: str, key: str) -> None:
    def fault() -> str | None:
        names = [name for name in column(results.path(other), key)[key] if "_composite_" not in name]
        equal = sorted(names) == sorted(report.facts["identifiers"])
        return None if equal else f"its motifs are not those of {other}"

    results.compare(report, other.rpartition("/")[2], [other], fault)


def compare_lexicon(results: Results, report: FileReport, **_: str) -> None:
    """Hold ``lexicon.tsv`` against its members and ``lexicon.h5``."""
    members, arrays = "lexicon/lexicon_members.tsv", "lexicon/lexicon.h5"

    def summed() -> str | None:
        own = (
            column(results.path(report.path), "word", "n_patterns", "n_seqlets").set_index("word").astype(int)
        )
        table = column(results.path(members), "word", "n_seqlets")
        table = table[table["word"] != ""].astype({"n_seqlets": int})
        sums = (
            table.groupby("word")["n_seqlets"].agg(["count", "sum"]).reindex(own.index).fillna(0).astype(int)
        )
        wrong = own.index[(sums.to_numpy() != own.to_numpy()).any(axis=1)]
        lost = set(table["word"]) - set(own.index)
        both = [*wrong, *sorted(lost)]
        return (
            f"n_patterns or n_seqlets differ from the sums of {members}: {offenders(both)}" if both else None
        )

    def same() -> str | None:
        own = column(results.path(report.path), "pattern", "n_seqlets")
        told = dict(zip(own["pattern"], own["n_seqlets"].astype(int), strict=True))
        return (
            None
            if told == results.facts(arrays)["patterns"]
            else f"patterns or n_seqlets differ from {arrays}"
        )

    results.compare(report, "lexicon_members.tsv", [members], summed)
    results.compare(report, "lexicon.h5", [arrays], same)


def compare_members(results: Results, report: FileReport, **_: str) -> None:
    """Hold the members of the lexicon against the patterns of each target."""
    table = column(results.path(report.path), "analysis", "target", "pattern", "n_seqlets")
    for (analysis, target), part in table.groupby(["analysis", "target"]):
        arrays = f"{analysis}/{target}/modisco.h5"

        def fault(part: pd.DataFrame = part, arrays: str = arrays) -> str | None:
            told = dict(zip(part["pattern"], part["n_seqlets"].astype(int), strict=True))
            equal = told == results.facts(arrays)["patterns"]
            return None if equal else f"patterns or n_seqlets differ from {arrays}"

        results.compare(report, arrays, [arrays], fault)


def compare_usage(results: Results, report: FileReport, **_: str) -> None:
    """Hold the counts of ``usage.tsv`` against hits, members and ``usage.h5ad``."""
    keys = ["word", "analysis", "target", "n_seqlets", "n_hits"]
    table, members = column(results.path(report.path), *keys), "lexicon/lexicon_members.tsv"

    def seqlets() -> str | None:
        own = table[table["n_seqlets"] != "0"].set_index(keys[:3])["n_seqlets"].astype(int)
        found = column(results.path(members), *keys[:4])
        found = found[found["word"] != ""].astype({"n_seqlets": int})
        sums = found.groupby(keys[:3])["n_seqlets"].sum()
        return None if sums.to_dict() == own.to_dict() else f"n_seqlets differ from the sums of {members}"

    results.compare(report, "lexicon_members.tsv", [members], seqlets)
    for (analysis, target), part in table[table["n_hits"] != ""].groupby(["analysis", "target"]):
        hits = f"{analysis}/{target}/hits.bed.gz"

        def counted(part: pd.DataFrame = part, hits: str = hits) -> str | None:
            found: Counter[str] = Counter()
            for rows in parts_of(results.path(hits), ["word"]):
                found.update(rows["word"])
            told = dict(zip(part["word"], pd.to_numeric(part["n_hits"]).astype(int), strict=True))
            wrong = [word for word in {**told, **found} if told.get(word, 0) != found.get(word, 0)]
            return f"n_hits differ from the rows of {hits}: {offenders(sorted(wrong))}" if wrong else None

        if results.has(hits):
            results.compare(report, hits, [hits], counted)
    compare_matrix(results, report, table)


def compare_matrix(results: Results, report: FileReport, table: pd.DataFrame) -> None:
    """The seqlets of ``usage.h5ad`` are those of ``usage.tsv``."""
    name = "lexicon/usage.h5ad"

    def fault() -> str | None:
        with open_file(results.path(name)) as handle:
            matrix, words = handle["X"][:], handle["obs/_index"].asstr()[:].tolist()
        order = table.groupby("word", sort=False)["n_seqlets"].apply(list)
        if sorted(order.index) != sorted(words):
            return f"its words are not those of {name}"
        equal = all(
            [float(count) for count in order[word]] == row.tolist()
            for word, row in zip(words, matrix, strict=True)
        )
        return None if equal else f"n_seqlets differ from {name}"

    results.compare(report, "usage.h5ad", [name], fault)


def compare_words(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """The words of a table of syntax are words of the lexicon, or motifs of the target."""
    keys = ["word"] if report.kind == "positions" else ["word_a", "word_b"]
    _known_words(results, report, analysis, target, keys)


def _known_words(results: Results, report: FileReport, analysis: str, target: str, keys: list[str]) -> None:
    known = results.settings.get(analysis)
    if known is None or known.get("database_hits"):
        report.skip("words (hits are of known motifs, or the analysis is not in the config)")
        return
    other, key = (
        ("lexicon/lexicon.tsv", "word") if known["lexicon"] else (f"{analysis}/{target}/motifs.tsv", "motif")
    )

    def fault() -> str | None:
        words = {*column(results.path(other), key)[key], ""}
        strange: set[str] = set()
        for part in parts_of(results.path(report.path), keys):
            strange |= set(pd.unique(part.to_numpy().ravel())) - words
        return f"words that {other} lacks: {offenders(sorted(strange))}" if strange else None

    results.compare(report, other.rpartition("/")[2], [other], fault)


def compare_hits(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """Hits lie in regions of the attributions, and their words are known."""
    compare_in_regions(results, report, analysis=analysis, target=target)
    _known_words(results, report, analysis, target, ["word"])


def compare_in_regions(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """The stretches of a table lie in regions of the attributions, by name."""
    other = f"{analysis}/{target}/attributions.h5"
    key = "region" if report.kind == "hits" else "name"

    def fault() -> str | None:
        regions = regions_of(results, other)
        spans = regions.groupby("name").agg(low=("start", "min"), high=("end", "max"))
        place, lost, outside = 0, [], []
        for part in parts_of(results.path(report.path), [key, "start", "end"]):
            own = spans.reindex(part[key])
            low, high = part["start"].astype("int64").to_numpy(), part["end"].astype("int64").to_numpy()
            lost += part[key][own["low"].isna().to_numpy()].tolist()
            wrong = (low < own["low"].to_numpy()) | (high > own["high"].to_numpy()) | (low >= high)
            outside += (place + np.flatnonzero(wrong)).tolist()
            place += len(part)
        if lost:
            return f"regions that {other} lacks: {offenders(lost)}"
        return f"outside of their regions in rows {offenders(outside)}" if outside else None

    results.compare(report, "regions of attributions.h5", [other], fault)


def compare_track(results: Results, report: FileReport, *, analysis: str, target: str) -> None:
    """A track has the chromosomes of the genome, and the contributions of regions that overlap no other."""
    other, genome = f"{analysis}/{target}/attributions.h5", "genome/chromosomes.tsv"

    def sizes() -> str | None:
        equal = read_sizes(results.path(genome)) == report.facts["sizes"]
        return None if equal else f"its chromosomes are not those of {genome}"

    def values() -> str | None:
        regions = regions_of(results, other)
        order = regions.sort_values(["chrom", "start"], kind="stable")
        reach = order.groupby("chrom")["end"].cummax().to_numpy()
        same = (
            (order["chrom"].to_numpy()[1:] == order["chrom"].to_numpy()[:-1])
            if len(order)
            else np.zeros(0, bool)
        )
        meets = same & (order["start"].to_numpy()[1:] < reach[:-1])
        alone = ~(np.append(meets, False) | np.append(False, meets))
        new = np.append(True, ~same)
        start = np.where(
            np.append(False, same),
            np.maximum(order["start"].to_numpy(), np.append(0, reach[:-1])),
            order["start"].to_numpy(),
        )
        covered = int(
            np.maximum(order["end"].to_numpy() - np.where(new, order["start"].to_numpy(), start), 0).sum()
        )
        if covered != report.facts["covered"]:
            return f"has values of {report.facts['covered']} bases; the regions of {other} cover {covered}"
        single = order.index.to_numpy()[alone]
        rng = np.random.default_rng(0)
        chosen = np.sort(rng.choice(single, min(SAMPLED, len(single)), replace=False))
        with (
            open_hdf5(results.path(other), what="attributions") as handle,
            pyBigWig.open(str(results.path(report.path))) as track,
        ):
            found = read_scattered(handle["hypothetical"], chosen) * read_scattered(
                handle["sequences"], chosen
            )
            for row, own in zip(chosen, found.sum(axis=1), strict=True):
                place = regions.iloc[row]
                told = track.values(place["chrom"], int(place["start"]), int(place["end"]), numpy=True)
                own = own[::-1] if place["strand"] == "-" else own
                if not np.allclose(told, own, rtol=1e-5, atol=1e-6 * (np.abs(own).max() + 1e-9)):
                    return f"values differ from {other} in row {row}"
        return None

    results.compare(report, "chromosomes", [genome], sizes)
    results.compare(report, "attributions.h5 (a sample of regions)", [other], values)


def regions_in(results: Results, path: str) -> pd.DataFrame:
    """The regions of an HDF5 file, as a table."""
    with open_hdf5(results.path(path), what="regions") as handle:
        return read_regions(handle)
