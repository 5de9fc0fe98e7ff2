"""Loaders of the package and the options that each takes, read from their files.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

#: One file per loader, see cislex.models.loaders.
FOLDER = Path(__file__).resolve().parents[3] / "scripts" / "cislex" / "models" / "loaders"


@functools.cache
def loader_options() -> dict[str, tuple[str, ...]]:
    """Names of the options of each loader: the fields of its dataclass."""
    return {
        path.stem.replace("_", "-"): _fields(path)
        for path in sorted(FOLDER.glob("*.py"))
        if path.stem != "__init__"
    }


def _fields(path: Path) -> tuple[str, ...]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    (loader,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Loader")
    return tuple(
        node.target.id
        for node in loader.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )


def loaders_with(option: str) -> list[str]:
    """Names of the loaders that have an option."""
    return [name for name, options in loader_options().items() if option in options]
