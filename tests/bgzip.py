"""Block-gzipped files."""

from __future__ import annotations

from pathlib import Path

from Bio import bgzf


def write_bgzip(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    with bgzf.BgzfWriter(str(path), "wb") as handle:
        handle.write(text.encode(encoding))
    return path
