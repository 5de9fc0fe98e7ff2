"""The house: one-way imports, module sizes, thin scripts."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
import source_digest  # noqa: E402

sys.path.pop(0)

PACKAGE = ROOT / "scripts" / "cislex"

#: A module may import from its own layer and from those before it.
LAYERS = [
    {
        "errors", "logs", "provenance", "abandoned", "scratch", "tied", "bigwig", "sealed", "new_hdf5",
        "storage", "blocks", "hdf5_sources", "user_arrays", "text_tables", "cislex", "jobs", "partial",
        "devices", "compilation",
    },
    {
        "regions", "peaks", "genome", "selection", "sequences", "sequence_import", "targets", "resources",
        "outputs", "target_base", "scaled_targets", "simulation", "weights", "shuffles", "training_inputs",
        "architectures", "formats", "adapters", "fixed_batch", "loaders", "models",
        "checkpoint_files", "full_precision", "region_errors", "kept_outputs",
        "intervals", "windows", "negatives", "training_data", "signal_data", "training_fasta",
        "training_arrays", "training_sources", "evaluation", "heads", "held_out", "training",
        "motif_io", "pwm_baseline",
        "measurement", "rates", "cost",
        "direct_sources", "direct_selection",
        "malformed", "row_ledger", "fasta_index", "chromosome_table", "meme_files",
    },
    {"attribution", "settings"},
    {
        "chunks", "chunk_files", "chunk_writing", "gating", "aggregation", "prediction", "labels",
        "agreement", "tracks",
        "motifs", "modisco_repairs", "databases", "logos", "annotation", "finemo_runs", "hits", "truth",
        "inspection",
    },
    {"report"},
]  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def layer_of(name: str) -> int:
    for depth, names in enumerate(LAYERS):
        if name in names:
            return depth
    raise AssertionError(f"module {name} is in no layer: add it to LAYERS")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "cislex":
            found |= {alias.name for alias in node.names if not alias.name.startswith("_")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cislex."):
            assert node.module is not None
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("cislex.")}
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        module: set(source_digest._imports(ROOT / "scripts", path, module)) - {module}
        for module, path in dotted()
    }
    while leaves := {module for module, others in graph.items() if not others & graph.keys()}:
        graph = {module: others for module, others in graph.items() if module not in leaves}
    circle = {module: sorted(others & graph.keys()) for module, others in graph.items()}
    assert not circle, f"modules of an import circle, or that need one: {circle}"


def dotted() -> list[tuple[str, Path]]:
    """Every module but ``__init__`` (what a package re-exports is followed to where it is defined)."""
    paths = [path for path in modules() if path.name != "__init__.py"]
    return [(".".join(path.relative_to(ROOT / "scripts").with_suffix("").parts), path) for path in paths]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    name = parts[0].removesuffix(".py")
    return "cislex" if name == "__init__" else name


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    here = layer_of(name_of(path))
    above = {name for name in imported(path) if layer_of(name) > here}
    assert not above, f"{path.name} (layer {here}) imports {above} from a later layer"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.name)
def test_a_script_is_thin(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 40
    assert "snakemake.scriptdir" in text, "must use the package beside the original script"
    assert ast.get_docstring(ast.parse(text))


def test_no_rule_file_imports_the_package() -> None:
    for path in [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]:
        assert not [
            line
            for line in path.read_text().splitlines()
            if line.startswith(("import cislex", "from cislex"))
        ]
