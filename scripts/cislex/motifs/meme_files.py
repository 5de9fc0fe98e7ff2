"""Read MEME files in all common variants; errors name the line."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.tables import require_file
from cislex.logs import get_logger
from cislex.regions.genome import is_gzip

#: Sites of a motif whose file does not tell their number, as in MEME's own programs.
DEFAULT_SITES = 20
_MATRIX = "letter-probability matrix"

#: Identifier, name, base frequencies float64 (4, w), number of sites.
Parsed = tuple[str, str, NDArray[np.float64], int]
logger = get_logger("meme_files")


def parse_meme(path: str | Path) -> list[Parsed]:
    """Read the motifs of a MEME file (version 4 or later, DNA).

    It may be gzipped, UTF-8 (with a byte-order mark, too) or Latin-1, with indented lines and empty ones
    around a matrix. A number of sites that is none (``NA``) or 0 is 20.

    Raises
    ------
    InputError
        When it is not a MEME file, a matrix is not DNA frequencies (by line), or an identifier repeats.
    """
    lines = [line.strip() for line in _text(path).splitlines()]
    if not any(line.startswith("MEME version") for line in lines):
        raise InputError(f"{path} is not a MEME file: it has no line 'MEME version …'")
    motifs: list[Parsed] = []
    number = 0
    while number < len(lines):
        words = lines[number].split()
        number += 1
        if not words or words[0] != "MOTIF":
            continue
        if len(words) < 2:
            raise InputError(f"{path}:{number}: a MOTIF line without an identifier")
        motif, number = _read_matrix(lines, number, path, words)
        motifs.append(motif)
    identifiers = [motif[0] for motif in motifs]
    repeated = [identifier for identifier, count in Counter(identifiers).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: identifiers must differ; repeated: {offenders(repeated)}")
    return motifs


def _text(path: str | Path) -> str:
    require_file(path, what="motif database")
    try:
        with (gzip.open if is_gzip(path) else open)(path, "rb") as handle:
            data = handle.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the compressed file is corrupt or truncated: {error}") from error
    if b"\0" in data:
        raise InputError(f"{path} is not a MEME file: it is binary, or UTF-16; save it as UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        logger.warning("%s:%d: not UTF-8; read as Latin-1", path, data.count(b"\n", 0, error.start) + 1)
        return data.decode("latin-1")


def _read_matrix(lines: list[str], number: int, path: str | Path, words: list[str]) -> tuple[Parsed, int]:
    """The matrix that follows a MOTIF line, and the number of the line after it."""
    where = f"{path}:{number}"
    while number < len(lines) and not lines[number].startswith((_MATRIX, "MOTIF")):
        number += 1
    if number == len(lines) or lines[number].startswith("MOTIF"):
        raise InputError(f"{where}: motif {words[1]} has no letter-probability matrix")
    fields = dict(re.findall(r"(\w+)=\s*(\S+)", lines[number]))
    number += 1
    header = number
    while number < len(lines) and not lines[number]:
        number += 1
    rows = []
    while number < len(lines) and re.match(r"[-+.\d]", lines[number]):
        try:
            row = [float(cell) for cell in lines[number].split()]
        except ValueError:
            row = []
        number += 1
        found = f"{path}:{number}: motif {words[1]}: found {lines[number - 1]!r}"
        if len(row) != 4:
            raise InputError(f"{found}; expected four numbers")
        if min(row) < 0 or not abs(sum(row) - 1) <= 0.02:
            raise InputError(f"{found}; expected frequencies summing to 1")
        rows.append(row)
    width = _count(fields, "w", len(rows), f"{path}:{header}")
    if not rows or len(rows) != width:
        raise InputError(
            f"{path}:{header}: motif {words[1]} has {len(rows)} rows; expected {fields.get('w', 'some')} (w=)"
        )
    ppm = np.array(rows)
    sites = _count(fields, "nsites", DEFAULT_SITES, f"{path}:{header}") or DEFAULT_SITES
    name = words[2] if len(words) > 2 else words[1]
    return (words[1], name, ppm.T / ppm.sum(axis=1), sites), number


def _count(fields: dict[str, str], key: str, default: int, where: str) -> int:
    """A whole number of a matrix's header; the default where it is not given."""
    text = fields.get(key, "")
    if text.lower() in ("", "na", "nan", "n/a", ".", "?", "none") or text.endswith("="):
        return default
    try:
        return round(float(text))
    except (ValueError, OverflowError):
        raise InputError(f"{where}: {key}= {text} is not a number") from None
