"""Loaders of the package and the options that each takes, read from their files.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

#: One file per loader, see cislex.models.loaders.
FOLDER = Path(__file__).resolve().parents[3] / "scripts" / "cislex" / "models" / "loaders"

#: Constant of a loader that names files, not an option.
BESIDE = "BESIDE"


@functools.cache
def loader_options() -> dict[str, tuple[str, ...]]:
    """Names of the options of each loader: the fields of its dataclass."""
    return {
        path.stem.replace("_", "-"): tuple(name for name in _assigned(path) if name != BESIDE)
        for path in sorted(FOLDER.glob("*.py"))
        if path.stem != "__init__"
    }


@functools.cache
def files_beside(loader: str) -> tuple[str, ...]:
    """Names of the files that a loader reads where they lie beside the weights."""
    names = _assigned(FOLDER / f"{loader.replace('-', '_')}.py").get(BESIDE)
    return tuple(ast.literal_eval(names)) if names else ()


def _assigned(path: Path) -> dict[str, ast.expr | None]:
    """Annotated names of the loader's class: its options, and perhaps ``BESIDE``."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    (loader,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Loader")
    return {
        node.target.id: node.value
        for node in loader.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def loaders_with(option: str) -> list[str]:
    """Names of the loaders that have an option."""
    return [name for name, options in loader_options().items() if option in options]
