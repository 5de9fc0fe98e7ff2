"""A made-up run of many targets, as large as real ones, for the tests of the report's size and speed."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import report_fixture as fixture
from cislex.files.tables import write_table
from cislex.motifs.files import MemeMotif, write_meme
from cislex.report import AnalysisTarget, LexiconTables, RegionSet

NAMES = ["REB1", "RAP1", "ABF1", "TBF1", "CBF1", "GCN4", "MCM1", "SWI4", "MBP1", "STE12"]


def sites(count: int, *, seed: int = 0) -> list[str]:
    """Made-up consensus sequences of 7 to 15 bases."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), rng.integers(7, 16))) for _ in range(count)]


def frequencies(site: str, *, seed: int = 0) -> np.ndarray:
    """Base frequencies (4, w) around a consensus."""
    noise = np.random.default_rng(seed).dirichlet([0.4] * 4, len(site)).T
    return 0.8 * fixture.one_hot(site) + 0.2 * noise


def write_patterns(path: Path, patterns: list[tuple[str, str, int]], *, regions: int = 0) -> None:
    """Write ``modisco.h5`` of patterns: name, consensus and number of seqlets each."""
    rng = np.random.default_rng(1)
    with h5py.File(path, "w") as handle:
        for number, (name, site, seqlets) in enumerate(patterns):
            sign, index = name.split("_")
            group = handle.create_group(f"{sign}_patterns/pattern_{index}")
            ppm = frequencies(site, seed=number)
            direction = 0.3 if sign == "pos" else -0.3
            matrices = {
                "sequence": ppm,
                "contrib_scores": direction * ppm * fixture.one_hot(site),
                "hypothetical_contribs": direction * (ppm - 0.25),
            }
            for key, matrix in matrices.items():
                group[key] = matrix.T
            n = min(seqlets, 200)
            own = group.create_group("seqlets")
            own["n_seqlets"] = [seqlets]
            starts = np.clip(rng.normal(100, 20, n), 0, 180).astype(int)
            own["start"], own["end"] = starts, starts + len(site)
            own["example_idx"] = rng.integers(0, max(regions, 1), n)
            own["is_revcomp"] = rng.random(n) < 0.5
            drawn = (rng.random((n, len(site), 1)) > ppm.cumsum(axis=0).T[:, :3]).sum(axis=2)
            one_hot = np.eye(4, dtype=np.float32)[drawn]
            own.create_dataset("sequence", data=one_hot, compression="gzip")
            scale = rng.normal(1, 0.3, (n, 1, 1)).astype(np.float32)
            own.create_dataset("contrib_scores", data=direction * scale * one_hot, compression="gzip")
            own.create_dataset("hypothetical_contribs", data=direction * scale * one_hot, compression="gzip")
        settings = {"positive_seqlets": 80_000, "negative_seqlets": 4_000, "seqlet_cap_reached": 1}
        handle.attrs.update({**settings, "seqlet_fraction_kept": 0.285})


def write_table_of_motifs(folder: Path, found: list[tuple[str, str, int]]) -> None:
    """Write ``motifs.tsv`` of one target."""
    rows = []
    for number, (name, site, seqlets) in enumerate(found):
        known = number % 3 < 2
        match = {"match_1": f"MA{number + 100:04d}.1", "match_1_name": NAMES[number % len(NAMES)]}
        match |= {"match_1_p": 10.0 ** -(number % 9 + 3), "match_1_q": 1e-3 if known else 0.4}
        flagged = "low information" if number % 10 == 9 else ""
        rows.append(
            fixture.motif(name, "+" if name[0] == "p" else "-", seqlets, site, flagged=flagged, **match)
        )
    columns = list(dict.fromkeys(key for row in rows for key in row))
    groups = {"pos": "pos_patterns/pattern_", "neg": "neg_patterns/pattern_"}
    table = pd.DataFrame(rows, columns=columns).assign(
        pattern=[groups[name[:3]] + name[4:] for name, _, _ in found],
        logo="",
        trim_start=0,
        is_reversed=False,
    )
    write_table(table.assign(trim_end=table["width"], match_1_database="known"), folder / "motifs.tsv")


def write_hits(path: Path, found: list[tuple[str, str]], regions: pd.DataFrame) -> None:
    """Write ``hits.bed.gz``: five hits of words in each region."""
    rng = np.random.default_rng(7)
    lines = ["#chrom\tstart\tend\tname\tscore\tstrand\tword\thit_similarity\tcontribution"]
    for _, region in regions.iterrows():
        for start in sorted(rng.integers(0, fixture.LENGTH - 16, 5)):
            number = int(rng.integers(0, len(found)))
            _, site = found[number]
            begin = region["start"] + start
            strand = "+-"[int(rng.integers(0, 2))]
            lines.append(
                f"{region['chrom']}\t{begin}\t{begin + len(site)}\t{NAMES[number % len(NAMES)]}\t900"
                f"\t{strand}\tw{number}\t0.91\t0.42"
            )
    with gzip.open(path, "wt") as handle:
        handle.write("\n".join(lines) + "\n")


def write_many(
    root: Path, *, analyses: int = 5, targets: int = 10, patterns: int = 60, regions: int = 2000
) -> dict[str, object]:
    """Write the folder; return the arguments of ``render_report``. Targets share all but ``motifs.tsv``."""
    frame = fixture.make_regions(regions)
    root.mkdir(parents=True, exist_ok=True)
    relative = fixture.write_attributions(root / "shared/reb1/attributions.h5", frame, deltas=True)
    fixture.write_qc(root / "shared/reb1/qc.tsv", frame, relative, deltas=True)
    bed = frame.assign(score=0, source_line=range(1, regions + 1)).rename(columns={"chrom": "#chrom"})
    write_table(bed, root / "regions.bed")
    every = sites(patterns)
    known = [
        MemeMotif(f"MA{n + 100:04d}.1", NAMES[n % len(NAMES)], frequencies(site, seed=n), 100)
        for n, site in enumerate(every)
    ]
    write_meme(known, root / "known.meme")
    names = [f"pos_{n}" if n % 4 else f"neg_{n}" for n in range(patterns)]
    found = list(zip(names, every, strict=True))
    write_patterns(root / "shared/modisco.h5", [(*pattern, 200) for pattern in found], regions=regions)
    write_hits(root / "shared/hits.bed.gz", found, frame)
    specs, members, usage = [], [], []
    for a in range(analyses):
        for t in range(targets):
            rng = np.random.default_rng([a, t])
            seqlets = np.sort(rng.integers(20, 2000, patterns))[::-1].tolist()
            folder = root / f"analysis_{a}/target_{t}"
            folder.mkdir(parents=True)
            write_table_of_motifs(folder, list(zip(names, every, seqlets, strict=True)))
            for n, (name, count) in enumerate(zip(names, seqlets, strict=True)):
                members.append([f"analysis_{a}", f"target_{t}", name, f"w{n}"])
                used = count if rng.random() < 0.6 else 0
                usage.append([f"w{n}", f"analysis_{a}", f"target_{t}", used, int(used > 0)])
            specs.append(
                AnalysisTarget(
                    analysis=f"analysis_{a}", target=f"target_{t}", region_set="peaks", model="yeast",
                    limit=1e-3,
                    attributions=root / "shared/reb1/attributions.h5", qc=root / "shared/reb1/qc.tsv",
                    motifs=folder / "motifs.tsv", modisco=root / "shared/modisco.h5",
                    hits=root / "shared/hits.bed.gz", databases={"known": root / "known.meme"},
                    usage=root / "usage.tsv",
                )
            )  # fmt: skip
    columns = ["analysis", "target", "motif", "word"]
    write_table(pd.DataFrame(members, columns=columns), root / "lexicon_members.tsv")
    columns = ["word", "analysis", "target", "n_seqlets", "n_patterns"]
    table = pd.DataFrame(usage, columns=columns)
    write_table(table.assign(name="", seqlet_recall=0.83), root / "usage.tsv")
    write_words(root, names, every, len(specs))
    return {
        "results": "results/many",
        "analyses": specs,
        "regions": [RegionSet(name="peaks", regions=root / "regions.bed")],
        "lexicon": LexiconTables(
            words=root / "lexicon.tsv", usage=root / "usage.tsv", members=root / "lexicon_members.tsv",
            matrices=root / "lexicon.h5",
        ),
    }  # fmt: skip


def write_words(root: Path, names: list[str], every: list[str], targets: int) -> None:
    """Write ``lexicon.tsv`` and ``lexicon.h5``, a word for each pattern."""
    rows = [
        {
            "word": f"w{n}", "name": NAMES[n % len(NAMES)], "sign": "-" if name[0] == "n" else "+",
            "n_patterns": targets, "n_targets": targets, "n_seqlets": 1000 * (len(every) - n),
            "consensus": site, "composite_of": "", "match": f"MA{n + 100:04d}.1",
            "match_name": NAMES[n % len(NAMES)], "match_q": 1e-4, "database": "known",
            "pattern": f"pos_patterns/pattern_{n}", "trim_start": 0, "trim_end": len(site),
        }
        for n, (name, site) in enumerate(zip(names, every, strict=True))
    ]  # fmt: skip
    write_table(pd.DataFrame(rows), root / "lexicon.tsv")
    with h5py.File(root / "lexicon.h5", "w") as handle:
        for n, site in enumerate(every):
            matrix = 0.3 * frequencies(site, seed=n) * fixture.one_hot(site)
            handle[f"pos_patterns/pattern_{n}/contrib_scores"] = matrix.T
