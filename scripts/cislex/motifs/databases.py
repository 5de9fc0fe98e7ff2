"""Known motifs to compare with: JASPAR (offline, from pyjaspar) or the user's own MEME file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cislex.alphabet import BASES
from cislex.errors import ConfigError, InputError
from cislex.logs import get_logger
from cislex.motifs.files import MemeMotif, read_meme, write_meme
from cislex.wording import counted

#: Names of the JASPAR CORE collections and the taxonomic groups that they stand for.
JASPAR_GROUPS = {
    f"jaspar-{group}": group
    for group in ("vertebrates", "plants", "insects", "nematodes", "fungi", "urochordates")
}
DEFAULT_RELEASE = "JASPAR2026"

logger = get_logger("databases")


def fetch_motif_database(database: str, out: str | Path, *, release: str = DEFAULT_RELEASE) -> int:
    """Write the motifs of a database as one MEME file, in the order of their identifiers.

    Parameters
    ----------
    database
        ``jaspar-vertebrates``, ``-plants``, ``-insects``, ``-nematodes``, ``-fungi`` or ``-urochordates``
        (the newest version of each CORE matrix), or the path of a MEME file, which is checked and rewritten.
    out
        The file to write. Motifs are identified by matrix id (``MA0363.3``): names repeat.
    release
        JASPAR release that pyjaspar provides; not used for a MEME file.

    Returns
    -------
    int
        Motifs written.

    Raises
    ------
    ConfigError
        When the database or the release is not known.
    InputError
        When a MEME file is missing, malformed or holds no motif.
    """
    if database in JASPAR_GROUPS:
        motifs = fetch_jaspar(JASPAR_GROUPS[database], release=release)
        comment = f"{release} CORE, {JASPAR_GROUPS[database]}"
    elif database.startswith("jaspar-") and not set("./") & set(database):
        raise ConfigError(f"motif database is {database!r}; expected one of {', '.join(JASPAR_GROUPS)}")
    else:
        motifs = read_meme(database)
        comment = f"from {Path(database).name}"
    if not motifs:
        raise InputError(f"motif database {database}: it contains no motifs")
    write_meme(sorted(motifs, key=lambda motif: motif.identifier), out, comment=comment)
    logger.info("%s from %s (%s)", counted(len(motifs), "motif"), database, comment)
    return len(motifs)


def fetch_jaspar(group: str, *, release: str) -> list[MemeMotif]:
    """CORE motifs of a taxonomic group from the JASPAR release that pyjaspar provides.

    Raises
    ------
    ConfigError
        When pyjaspar does not carry the release (it would only print so).
    """
    from pyjaspar import jaspar_releases, jaspardb

    known = list(jaspar_releases)
    if release not in known:
        raise ConfigError(f"motifs.release is {release!r}; pyjaspar provides {', '.join(known)}")
    connection = jaspardb(release=release)
    try:
        return [_from_jaspar(m) for m in connection.fetch_motifs(collection="CORE", tax_group=[group])]
    finally:
        connection.conn.close()


def _from_jaspar(motif: Any) -> MemeMotif:
    counts = np.array([motif.counts[base] for base in BASES], dtype=np.float64)
    total = counts.sum(axis=0)
    if (total <= 0).any():
        raise InputError(f"JASPAR matrix {motif.matrix_id} has a column without counts")
    return MemeMotif(motif.matrix_id, motif.name, counts / total, round(float(total.max())))
