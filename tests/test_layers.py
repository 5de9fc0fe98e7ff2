"""The house: one-way imports, module sizes, thin scripts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from cislex_workflow.reruns import source_digest
from rule_texts import rule_texts

ROOT = Path(__file__).resolve().parents[1]

PACKAGE = ROOT / "scripts" / "cislex"

#: In the order in which data flow: a folder (or module) imports from itself and from those before it.
ORDER = """
alphabet errors logs wording provenance metrics multiple_testing uncertainty files runtime regions downloads
targets models sequences training attribution chunks motifs lexicon syntax prediction variants insertions
design comparison exports demo cost inquiry report verification
""".split()  # noqa: SIM905
#: The same inside of ``attribution``; ``__init__`` and the public paths re-export.
WITHIN = """
options kernels notes transforms arrays operations references result validation methods saved_references
genomic_references execution gradients deeplift elementwise survey residuals mutagenesis pipeline api pisa
reference_convergence
""".split()  # noqa: SIM905


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


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


def siblings(folder: str) -> dict[str, dict[str, str]]:
    """What each module or folder of a folder imports of its siblings, with one import of each as witness."""
    found: dict[str, dict[str, str]] = {}
    for module, path in dotted():
        if not module.startswith(f"{folder}."):
            continue
        here = module.removeprefix(f"{folder}.").split(".")[0]
        for other in source_digest._imports(ROOT / "scripts", path, module):
            there = other.removeprefix(f"{folder}.").split(".")[0] if other.startswith(f"{folder}.") else here
            if there != here:
                found.setdefault(here, {})[there] = f"{module} imports {other}"
        found.setdefault(here, {})
    return found


@pytest.mark.parametrize(("folder", "order"), [("cislex", ORDER), ("cislex.attribution", WITHIN)])
def test_imports_go_one_way(folder: str, order: list[str]) -> None:
    graph = siblings(folder)
    assert set(graph) == set(order), "a new folder needs a place in the order, and a missing one has none"
    wrong = [
        text
        for here, others in graph.items()
        for there, text in others.items()
        if order.index(there) > order.index(here)
    ]
    assert not wrong


FOLDERS = sorted({module.rpartition(".")[0] for module, _ in dotted()})


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_and_modules_side_by_side_do_not_import_in_circles(folder: str) -> None:
    graph = {here: set(others) for here, others in siblings(folder).items()}
    while leaves := {here for here, others in graph.items() if not others & graph.keys()}:
        graph = {here: others for here, others in graph.items() if here not in leaves}
    witnesses = [text for here in graph for there, text in siblings(folder)[here].items() if there in graph]
    assert not witnesses


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
            if re.match(r"(import|from) cislex(?!_workflow)", line)
        ]


#: Rules whose script calls something of another name, and where it is.
OTHERWISE = {
    "fetch_resources": ("cislex.downloads", "fetch_resource"),
    "score_variants": ("cislex.variants.chunk", "score_chunk"),
    "snapshot_config": ("cislex.files.tables", "write_text"),
}


def rules_with_scripts() -> dict[str, str]:
    """Script of each rule that has one."""
    scripts = {name: re.search(r'"\.\./\.\./scripts/(\w+)\.py"', text) for name, text in rule_texts().items()}
    return {name: script[1] for name, script in scripts.items() if script}


@pytest.mark.parametrize("rule", sorted(rules_with_scripts()))
def test_the_name_of_a_rule_leads_to_its_script_and_its_module(rule: str) -> None:
    script = ROOT / "scripts" / f"{rule}.py"
    assert rules_with_scripts()[rule] == rule
    called = {
        alias.name: node.module or ""
        for node in ast.parse(script.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    if rule in OTHERWISE:
        module, function = OTHERWISE[rule]
        assert called[function] == module
        return
    stems = {word[:5] for part in called[rule].split(".") for word in part.split("_")}
    assert stems & {word[:5] for word in rule.split("_")}, f"{rule} is in {called[rule]}"


def test_every_script_belongs_to_a_rule() -> None:
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} == set(rules_with_scripts().values())
