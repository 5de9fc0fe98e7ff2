"""Motifs in files: modisco-lite's HDF5 layout and the MEME format, read and written.

Matrices are (4, width), rows in the order A, C, G, T. In memory a motif is oriented and trimmed by fixed
rules, so that every stage that reads the same ``modisco.h5`` with the same settings sees the same motifs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.errors import StorageError
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import atomic_path, open_hdf5, write_array, write_text
from cislex.motifs.meme_files import parse_meme

Matrix = NDArray[np.float64]

#: TOMTOM's p-values rest on the columns of all known motifs: with fewer motifs or different columns than this
#: they claim matches by chance, and q-values come from shuffled motifs instead.
FEW_MOTIFS, FEW_COLUMNS = 25, 50

#: Groups of modisco-lite's file, with the sign and the prefix of our names.
GROUPS = {"pos_patterns": ("+", "pos"), "neg_patterns": ("-", "neg")}


def smallness(known: Sequence[Matrix]) -> str:
    """Why known motifs, (4, w) each, are too few for TOMTOM's p-values; empty: they are not."""
    if len(known) < FEW_MOTIFS:
        return f"fewer than {FEW_MOTIFS} known motifs"
    columns = np.unique(np.concatenate(known, axis=1).round(2), axis=1).shape[1]
    return f"fewer than {FEW_COLUMNS} different columns of known motifs" if columns < FEW_COLUMNS else ""


@dataclasses.dataclass(frozen=True)
class TrimSettings:
    """Settings that trim a pattern to its core and flag doubtful ones.

    Parameters
    ----------
    trim
        Columns are kept from the first to the last whose summed |CWM| is at least this share of the
        greatest (0 to 1).
    min_information
        A motif none of whose columns has more than this information (bits) is flagged.
    max_width
        A motif trimmed to this width or more (bp) is flagged: noise is not confined to a core.
    """

    trim: float = 0.3
    min_information: float = 0.5
    max_width: int = 40


@dataclasses.dataclass(frozen=True)
class Motif:
    """A pattern found by TF-MoDISco, oriented; ``start:end`` is its trimmed core.

    Parameters
    ----------
    name
        ``pos_0``, ``neg_3``: the number is TF-MoDISco's own.
    sign
        ``+`` or ``-``: the sign of its contribution to the prediction.
    pattern
        Its group in the file, for example ``pos_patterns/pattern_0``.
    ppm, cwm, hypothetical
        float64 (4, W): base frequencies of the seqlets, and the seqlets' mean contributions and mean
        hypothetical contributions.
    n_seqlets
        Seqlets that it was built from (not a count of occurrences).
    start, end
        The core, 0-based half-open columns.
    is_reversed
        Whether the matrices are the reverse complement of those in the file.
    subpatterns
        Variants that TF-MoDISco found inside the pattern.
    flagged
        Empty, or why the motif is doubtful.
    """

    name: str
    sign: str
    pattern: str
    ppm: Matrix
    cwm: Matrix
    hypothetical: Matrix
    n_seqlets: int
    start: int
    end: int
    is_reversed: bool
    subpatterns: int
    flagged: str

    @property
    def width(self) -> int:
        """Columns of the core."""
        return self.end - self.start

    @property
    def core_ppm(self) -> Matrix:
        """Base frequencies of the core, (4, width)."""
        return self.ppm[:, self.start : self.end]

    @property
    def core_cwm(self) -> Matrix:
        """Mean contributions of the core, (4, width)."""
        return self.cwm[:, self.start : self.end]

    @property
    def information(self) -> float:
        """Information of the core's most informative column, in bits."""
        return float(information(self.core_ppm).max())

    @property
    def consensus(self) -> str:
        """Consensus of the core, see :func:`consensus`."""
        return consensus(self.core_ppm)


@dataclasses.dataclass(frozen=True)
class MemeMotif:
    """A motif of a MEME file: identifier, name, base frequencies (4, w) and number of sites."""

    identifier: str
    name: str
    ppm: Matrix
    nsites: int


def information(ppm: Matrix) -> Matrix:
    """Information of each column against equal base frequencies, in bits: float64 (w,), 0 to 2."""
    safe = np.where(ppm > 0, ppm, 1.0)
    return 2.0 + (ppm * np.log2(safe)).sum(axis=0)


def consensus(ppm: Matrix) -> str:
    """One letter per column: capital from frequency 0.75, small from 0.5, otherwise a dot."""
    best, frequency = ppm.argmax(axis=0), ppm.max(axis=0)
    return "".join(
        BASES[b] if f >= 0.75 else BASES[b].lower() if f >= 0.5 else "."
        for b, f in zip(best, frequency, strict=True)
    )


def reverse_complement(matrix: Matrix) -> Matrix:
    """Reverse complement of a (4, w) matrix."""
    return np.ascontiguousarray(matrix[::-1, ::-1])


def trim_core(cwm: Matrix, trim: float) -> tuple[int, int]:
    """Half-open columns from the first to the last whose summed |CWM| is ≥ ``trim`` × the greatest."""
    weight = np.abs(cwm).sum(axis=0)
    kept = np.flatnonzero(weight >= trim * weight.max())
    return int(kept[0]), int(kept[-1]) + 1


def _should_reverse(cwm: Matrix, ppm: Matrix) -> bool:
    """Whether the other strand is the one shown: purines carry the larger share of |CWM| there.

    TF-MoDISco's orientation is that of its first seqlet, an accident. A palindrome has no preference
    (the shares differ by rounding), so it is decided by the alphabet.
    """
    weight = np.abs(cwm).sum(axis=1)
    purine, pyrimidine = weight[0] + weight[2], weight[1] + weight[3]
    if abs(purine - pyrimidine) > 1e-3 * weight.sum():
        return bool(pyrimidine > purine)
    return consensus(reverse_complement(ppm)) < consensus(ppm)


def _flags(ppm: Matrix, settings: TrimSettings) -> str:
    reasons = []
    if information(ppm).max() <= settings.min_information:
        reasons.append("low information")
    if ppm.shape[1] >= settings.max_width:
        reasons.append("wide")
    return "; ".join(reasons)


def _frequencies(counts: Matrix) -> Matrix:
    """Columns that sum to one; a column of unknown bases only says nothing: equal frequencies."""
    total = counts.sum(axis=0, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1.0), 0.25)


def oriented_motif(
    name: str,
    sign: str,
    pattern: str,
    matrices: tuple[Matrix, Matrix, Matrix],
    *,
    n_seqlets: int,
    settings: TrimSettings,
    subpatterns: int = 0,
) -> Motif:
    """A motif of the matrices of a pattern, trimmed, flagged, and turned to the strand that is shown.

    Parameters
    ----------
    name, sign, pattern, n_seqlets, subpatterns
        As in :class:`Motif`.
    matrices
        Base frequencies, contributions and hypothetical contributions, float64 (4, W), as in the file.
    settings
        Trimming and flagging.
    """
    ppm, cwm, hypothetical = matrices
    start, end = trim_core(cwm, settings.trim)
    is_reversed = _should_reverse(cwm[:, start:end], ppm[:, start:end])
    if is_reversed:
        ppm, cwm, hypothetical = (reverse_complement(m) for m in matrices)
        start, end = cwm.shape[1] - end, cwm.shape[1] - start
    return Motif(
        name=name,
        sign=sign,
        pattern=pattern,
        ppm=ppm,
        cwm=cwm,
        hypothetical=hypothetical,
        n_seqlets=n_seqlets,
        start=start,
        end=end,
        is_reversed=is_reversed,
        subpatterns=subpatterns,
        flagged=_flags(ppm[:, start:end], settings),
    )


def _read_motif(group: h5py.Group, path: str, name: str, sign: str, settings: TrimSettings) -> Motif:
    pattern = group[path]
    seqlets = pattern["seqlets"]
    if "sequence" in seqlets:
        counts = seqlets["sequence"][()].mean(axis=0, dtype=np.float64).T
    else:  # a lexicon keeps where its seqlets lie, and not what they hold
        counts = pattern["sequence"][()].astype(np.float64).T
    ppm = _frequencies(counts)
    cwm = pattern["contrib_scores"][()].astype(np.float64).T
    hypothetical = pattern["hypothetical_contribs"][()].astype(np.float64).T
    if not (np.isfinite(cwm).all() and np.isfinite(ppm).all()):
        raise StorageError(f"{group.file.filename}: {path} holds NaN; run find_motifs again")
    return oriented_motif(
        name,
        sign,
        path,
        (ppm, cwm, hypothetical),
        n_seqlets=int(seqlets["n_seqlets"][0]),
        subpatterns=sum(key.startswith("subpattern_") for key in pattern),
        settings=settings,
    )


def read_motifs(path: str | Path, settings: TrimSettings | None = None) -> list[Motif]:
    """Motifs of a ``modisco.h5``: positive ones first, each sign in TF-MoDISco's order of support.

    Parameters
    ----------
    path
        File in modisco-lite's layout.
    settings
        Trimming and flagging; the defaults when None.

    Raises
    ------
    StorageError
        When the file is not complete or holds NaN.
    """
    settings = settings or TrimSettings()
    motifs = []
    with open_hdf5(path, what="motifs") as handle:
        for group, (sign, prefix) in GROUPS.items():
            numbers = sorted(int(key.removeprefix("pattern_")) for key in handle.get(group, ()))
            for number in numbers:
                name = f"{group}/pattern_{number}"
                motifs.append(_read_motif(handle, name, f"{prefix}_{number}", sign, settings))
    return motifs


def _write_pattern(group: h5py.Group, pattern: Any, rows: NDArray[np.int64], offset: int) -> None:
    """One pattern of TFMoDISco; seqlets' rows and starts as in attributions.h5, subpatterns below it."""
    matrices = ("sequence", "contrib_scores", "hypothetical_contribs")
    for name in matrices:
        write_array(group, name, np.asarray(getattr(pattern, name), dtype=np.float64))
    found = pattern.seqlets
    seqlets = group.create_group("seqlets")
    write_array(seqlets, "n_seqlets", np.array([len(found)]))
    write_array(seqlets, "start", np.array([s.start + offset for s in found], dtype=np.int64))
    write_array(seqlets, "end", np.array([s.end + offset for s in found], dtype=np.int64))
    write_array(seqlets, "example_idx", rows[[s.example_idx for s in found]])
    write_array(seqlets, "is_revcomp", np.array([bool(s.is_revcomp) for s in found]))
    for name in matrices:
        write_array(seqlets, name, np.array([getattr(s, name) for s in found], dtype=np.float32))
    for number, subpattern in (pattern.subcluster_to_subpattern or {}).items():
        _write_pattern(group.create_group(f"subpattern_{number}"), subpattern, rows, offset)


def write_modisco(
    path: str | Path,
    patterns: Mapping[str, Sequence[Any] | None],
    *,
    rows: NDArray[np.int64],
    offset: int,
    length: int,
    attributes: Mapping[str, Any],
) -> None:
    """Write TFMoDISco's patterns in modisco-lite's layout, atomically.

    Parameters
    ----------
    path
        The file.
    patterns
        ``pos_patterns`` and ``neg_patterns``: lists of patterns; no group is written where a list is
        empty or None.
    rows
        int64 (n,): the row in attributions.h5 of each example that TFMoDISco saw.
    offset
        Position in the full-length sequence where the window began.
    length
        Length of the full sequences: modisco-lite's ``window_size``, since starts are mapped back to it.
    attributes
        Further attributes of the file.
    """
    with atomic_path(path) as temporary, new_hdf5(temporary) as handle:
        handle.attrs["window_size"] = length
        for key, value in attributes.items():
            handle.attrs[key] = value
        for name, found in patterns.items():
            if not found:
                continue
            group = handle.create_group(name)
            for number, pattern in enumerate(found):
                _write_pattern(group.create_group(f"pattern_{number}"), pattern, rows, offset)


def write_meme(motifs: Iterable[MemeMotif], path: str | Path, *, comment: str = "") -> None:
    """Write motifs in minimal MEME format, atomically; no motifs make a valid file with the header alone."""
    lines = ["MEME version 5", "", f"ALPHABET= {BASES}", "", "strands: + -", ""]
    if comment:
        lines[1:1] = ["", *(f"# {line}" for line in comment.splitlines())]
    lines += ["Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25", ""]
    for motif in motifs:
        name = "_".join(motif.name.split())
        lines.append(f"MOTIF {motif.identifier} {name}".rstrip())
        width = motif.ppm.shape[1]
        lines.append(f"letter-probability matrix: alength= 4 w= {width} nsites= {motif.nsites} E= 0")
        lines += [" ".join(f"{p:.6f}" for p in column) for column in motif.ppm.T]
        lines.append("")
    write_text("\n".join(lines), path)


def read_meme(path: str | Path) -> list[MemeMotif]:
    """Read the motifs of a MEME file (version 4 or later, DNA), see ``meme_files.parse_meme``.

    Raises
    ------
    InputError
        When it is not a MEME file, a matrix is not DNA frequencies, or an identifier repeats.
    """
    return [MemeMotif(*found) for found in parse_meme(path)]
