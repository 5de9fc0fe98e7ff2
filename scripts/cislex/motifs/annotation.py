"""Annotation of motifs: trimmed cores, best known matches, tables, MEME file and logos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cislex.files.tables import write_table
from cislex.files.temporary import replace_folder, temporary_folder
from cislex.logs import get_logger
from cislex.motifs.files import MemeMotif, Motif, TrimSettings, read_motifs, reverse_complement, write_meme
from cislex.motifs.logos import information_heights, write_logo
from cislex.motifs.matching import Match, match_motifs, read_databases
from cislex.wording import counted

#: Known motifs that are named for each motif.
MATCHES = 3

MATCH_COLUMNS = [
    f"match_{rank}{suffix}"
    for rank in range(1, MATCHES + 1)
    for suffix in ("", "_name", "_p", "_q", "_database", "_null")
]
COLUMNS = [
    *("motif", "sign", "n_seqlets", "width", "consensus", "information", "flagged"),
    *MATCH_COLUMNS,
    *("subpatterns", "logo", "match_logo", "pattern", "trim_start", "trim_end", "is_reversed"),
]

logger = get_logger("annotation")


def annotate_motifs(
    modisco: str | Path,
    databases: Mapping[str, str | Path] | str | Path,
    table: str | Path,
    meme: str | Path,
    logos: str | Path,
    settings: TrimSettings | None = None,
    *,
    threads: int = 1,
) -> pd.DataFrame:
    """Describe each motif and name the known motifs that it resembles.

    Parameters
    ----------
    modisco
        ``modisco.h5`` of :func:`cislex.motifs.discovery.find_motifs`.
    databases
        MEME files of known motifs by the names of the databases; or one file, named after itself.
    table
        ``motifs.tsv`` to write, one row a motif (docs/output.md).
    meme
        ``motifs.meme`` to write: trimmed base frequencies, with the number of seqlets as sites.
    logos
        Folder to write: ``{motif}.svg`` (contributions of the core), ``{motif}.rc.svg`` (its reverse
        complement) and ``{motif}.match.svg`` (the best known match, turned as it aligned).
    settings, threads
        Trimming and flagging; threads of numba.

    Returns
    -------
    pandas.DataFrame
        The table as written.
    """
    if not isinstance(databases, Mapping):
        databases = {Path(databases).stem: databases}
    motifs, known = read_motifs(modisco, settings), read_databases(databases)
    matches = match_motifs([motif.core_ppm for motif in motifs], known, count=MATCHES, threads=threads)
    rows = [_row(motif, found) for motif, found in zip(motifs, matches, strict=True)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    _write_logos(motifs, matches, Path(logos))
    named = zip(motifs, matches, strict=True)
    write_meme(
        [MemeMotif(m.name, f[0].known.name if f else "", m.core_ppm, m.n_seqlets) for m, f in named], meme
    )
    write_table(frame, table)
    flagged, total = sum(bool(motif.flagged) for motif in motifs), sum(map(len, known.values()))
    logger.info("%s, %d flagged, compared with %d known", counted(len(motifs), "motif"), flagged, total)
    return frame


def _row(motif: Motif, matches: Sequence[Match]) -> dict[str, object]:
    row: dict[str, object] = {
        "motif": motif.name,
        "sign": motif.sign,
        "n_seqlets": motif.n_seqlets,
        "width": motif.width,
        "consensus": motif.consensus,
        "information": motif.information,
        "flagged": motif.flagged,
        "subpatterns": motif.subpatterns,
        "logo": f"{motif.name}.svg",
        "match_logo": f"{motif.name}.match.svg",
        "pattern": motif.pattern,
        "trim_start": motif.start,
        "trim_end": motif.end,
        "is_reversed": motif.is_reversed,
    }
    for rank, match in enumerate(matches, start=1):
        row[f"match_{rank}"] = match.known.identifier
        row[f"match_{rank}_name"] = match.known.name
        row[f"match_{rank}_p"] = match.p
        row[f"match_{rank}_q"] = match.q
        row[f"match_{rank}_database"] = match.database
        row[f"match_{rank}_null"] = match.null
    return row


def _write_logos(motifs: Sequence[Motif], matches: Sequence[Sequence[Match]], folder: Path) -> None:
    """Write all logos into a new folder, which then takes the place of the old one."""
    with temporary_folder(folder) as temporary:
        for motif, found in zip(motifs, matches, strict=True):
            title = f"{motif.name}: contributions, {motif.consensus}"
            write_logo(motif.core_cwm, temporary / f"{motif.name}.svg", title=title, label="contribution")
            turned = reverse_complement(motif.core_cwm)
            title = f"{motif.name}: contributions, reverse complement"
            write_logo(turned, temporary / f"{motif.name}.rc.svg", title=title, label="contribution")
            if not found:
                continue
            match, ppm = found[0].known, found[0].known.ppm
            if found[0].is_reversed:
                ppm = reverse_complement(ppm)
            title = f"{match.name} ({match.identifier})"
            path = temporary / f"{motif.name}.match.svg"
            write_logo(information_heights(ppm), path, title=title, label="bits", limits=(0.0, 2.0))
        replace_folder(temporary, folder)
