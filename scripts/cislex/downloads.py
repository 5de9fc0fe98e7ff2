"""Resources: public files fetched by URL or from a local mirror, and verified before use."""

from __future__ import annotations

import gzip
import http.client
import shutil
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pandas as pd

from cislex.errors import ConfigError, InputError, offenders
from cislex.files.compressed import is_gzip
from cislex.files.scratch import refusal_in, write_errors_named
from cislex.files.tables import atomic_path, require_file
from cislex.files.temporary import temporary_folder
from cislex.files.text_tables import read_text
from cislex.logs import get_logger, progress
from cislex.provenance import digest_file
from cislex.regions.genome import digest_sequences

logger = get_logger(__name__)

SCHEMES = ("https", "http", "ftp", "file")
BLOCK = 1 << 18
#: Answers of a server that may differ at the next try.
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}


def fetch_resource(
    out: str | Path,
    *,
    url: str,
    name: str = "",
    mirror: str | None = None,
    mirror_folder: str | Path | None = None,
    sha256: str | None = None,
    sequence_md5: str | Path | None = None,
    max_gb: float = 100,
    retries: int = 3,
    timeout: float = 60.0,
    pause: float = 2.0,
) -> str:
    """Fetch one file, check it, and write it under its final name only when it is right.

    A gzipped (or bgzipped) file is unpacked unless ``out`` ends in ``.gz``.

    Parameters
    ----------
    out
        Written.
    url
        Public origin: https, http, ftp or file.
    name
        What the file is, for messages; default: the name of ``out``.
    mirror, mirror_folder
        Path of the file within a folder of local copies, and that folder; the URL is used where
        either is None or the folder lacks the file.
    sha256
        Expected SHA-256 of the file as published (before unpacking).
    sequence_md5
        Table (``chrom``, ``length``, ``md5``) of the FASTA's upper-case sequences, which does not
        depend on how the file was compressed. One of the two checks is required.
    max_gb
        Largest download, GB (10⁹ bytes): what a server sends is checked only when it is complete, so that
        without a limit a wrong one could fill the disk.
    retries
        Further tries after a failure that may pass.
    timeout
        Seconds without an answer before a try fails.
    pause
        Seconds before the second try; doubled for each further one.

    Returns
    -------
    str
        Where the file came from.

    Raises
    ------
    ConfigError
        No check is given, or the URL has another scheme.
    InputError
        The file cannot be had, is larger than ``max_gb``, or is not the expected one. Nothing is left under
        ``out``.
    StorageError
        The disk is full.
    """
    name = name or Path(out).name
    if not sha256 and not sequence_md5:
        raise ConfigError(f"fetch, {name}: give sha256 or sequence_md5, to verify the file")
    if urlsplit(url).scheme not in SCHEMES:
        raise ConfigError(f"fetch, {name}: url {url!r}: expected one of {', '.join(SCHEMES)}")
    expected = read_sequence_table(sequence_md5) if sequence_md5 else None
    with write_errors_named(out), temporary_folder(out) as folder:
        raw = folder / "raw"
        origin = _obtain(raw, name, url, mirror, mirror_folder, (retries, timeout, pause), int(max_gb * 1e9))
        if sha256:
            _check_sha256(raw, name, origin, sha256)
        if expected is not None:
            check_sequences(raw, expected, what=f"{name} from {origin}")
        with atomic_path(out) as temporary:
            _unpack(raw, temporary, keep=Path(out).suffix.lower() == ".gz", origin=origin)
    logger.info("%s: fetched from %s and verified", name, origin)
    return origin


def _obtain(
    raw: Path,
    name: str,
    url: str,
    mirror: str | None,
    mirror_folder: str | Path | None,
    patience: tuple[int, float, float],
    most: int,
) -> str:
    if mirror and mirror_folder:
        copy = Path(mirror_folder) / mirror
        if copy.is_file():
            shutil.copyfile(copy, raw)
            return str(copy)
        logger.warning("%s: the mirror has no %s; fetching %s", name, copy, url)
    retries, timeout, pause = patience
    for attempt in range(retries + 1):
        try:
            _download(url, raw, name, timeout, most)
            return url
        except (OSError, http.client.HTTPException) as error:
            if refusal_in(error):  # another try would be refused, too, and the network is not to blame
                raise
            final = isinstance(error, urllib.error.HTTPError) and error.code not in _TEMPORARY
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if final or attempt == retries or urlsplit(url).scheme == "file":
                raise InputError(
                    f"fetch, {name}: cannot download {url}: {error} (try {attempt + 1} of {retries + 1}). "
                    "Check the network, or put a copy into a folder and set CISLEX_MIRROR to that folder"
                ) from error
            logger.warning("%s: %s; retrying in %.0f s", name, error, pause * 2**attempt)
            time.sleep(pause * 2**attempt)
    raise AssertionError("unreachable")


def _download(url: str, raw: Path, name: str, timeout: float, most: int) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "cislex"})
    with urllib.request.urlopen(request, timeout=timeout) as answer, open(raw, "wb") as handle:
        total = int(answer.headers.get("Content-Length") or 0)
        written = 0
        _require_at_most(most, total, name, url)
        blocks = _blocks(answer)
        for block in progress(blocks, total=total, label=name, unit="B", weight=BLOCK) if total else blocks:
            written += handle.write(block)
            _require_at_most(most, written, name, url)
    if total and written != total:
        raise OSError(f"connection closed after {written} of {total} bytes")


def _require_at_most(most: int, size: int, name: str, url: str) -> None:
    if size > most:
        raise InputError(
            f"fetch, {name}: {url} sends {size:,} bytes or more; expected at most {most:,}: check the URL, "
            "or raise max_gb"
        )


def _blocks(handle: BinaryIO) -> Iterator[bytes]:
    while block := handle.read(BLOCK):
        yield block


def _check_sha256(raw: Path, name: str, origin: str, expected: str) -> None:
    found = digest_file(raw, algorithm="sha256")
    if found != expected.strip().lower():
        raise InputError(
            f"fetch, {name}: the file from {origin} has an unexpected SHA-256: expected {expected}, "
            f"found {found} ({raw.stat().st_size} bytes); the download was discarded"
        )


def read_sequence_table(path: str | Path) -> pd.DataFrame:
    """Read a table of expected sequences: tab-separated ``chrom``, ``length``, ``md5``.

    Raises
    ------
    InputError
        Missing file or columns, or no rows.
    """
    require_file(path, what="table of sequence digests")
    table = read_text(path)
    if not {"chrom", "length", "md5"} <= set(table.columns) or table.empty:
        raise InputError(f"{path}: expected rows of chrom, length and md5; found {', '.join(table.columns)}")
    if not table["length"].str.fullmatch(r"\d+").all():
        raise InputError(f"{path}: column length must contain whole numbers")
    return table.assign(length=table["length"].astype("int64"), md5=table["md5"].str.lower())


def check_sequences(fasta: str | Path, expected: pd.DataFrame, *, what: str) -> None:
    """Compare the sequences of a FASTA file with a table of digests, whatever their order and case.

    Raises
    ------
    InputError
        A sequence is missing, unexpected, or differs.
    """
    wanted, present = _by_name(expected), _by_name(digest_sequences(fasta))
    problems = []
    for chrom in [*wanted, *(name for name in present if name not in wanted)]:
        if chrom not in present:
            problems.append(f"{chrom}: missing")
        elif chrom not in wanted:
            problems.append(f"{chrom}: not expected")
        elif wanted[chrom] != present[chrom]:
            texts = [f"{length} bp, md5 {md5}" for length, md5 in (wanted[chrom], present[chrom])]
            problems.append(f"{chrom}: expected {texts[0]}; found {texts[1]}")
    if problems:
        raise InputError(f"fetch, {what}: unexpected sequences, download discarded: {offenders(problems)}")


def _by_name(table: pd.DataFrame) -> dict[str, tuple[int, str]]:
    columns = (table[column].tolist() for column in ("chrom", "length", "md5"))
    return {str(chrom): (int(length), str(md5)) for chrom, length, md5 in zip(*columns, strict=True)}


def _unpack(raw: Path, target: Path, *, keep: bool, origin: str) -> None:
    if keep or not is_gzip(raw):
        shutil.copyfile(raw, target)
        return
    try:
        with gzip.open(raw, "rb") as packed, open(target, "wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{origin}: the compressed file is corrupt or truncated: {error}") from error
