"""The documents say what the code does."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex import attribution
from cislex.targets import targets
from cislex_workflow.config import document

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_config_keys_is_the_schema() -> None:
    assert (ROOT / "config" / "README.md").read_text(encoding="utf-8") == document.document(), (
        "run make config-tables"
    )


def test_every_config_key_has_a_meaning_and_the_table_has_it_whole() -> None:
    schema = yaml.safe_load(document.SCHEMA.read_text(encoding="utf-8"))
    assert not sorted(odd_words(schema)), "a description with a comma in a flow mapping needs quotes"
    found = list(document.rows(schema, schema))
    assert not [key for key, _, _, meaning in found if not meaning.strip()]
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert not [key for key, _, _, meaning in found if f"| {meaning} |" not in text]


#: What a JSON schema of this project is made of.
KEYWORDS = {
    "$schema", "$defs", "$ref", "title", "description", "type", "format", "enum", "default", "properties",
    "required", "additionalProperties", "items", "oneOf", "anyOf", "allOf", "not", "if", "then", "else",
    "pattern", "propertyNames", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minProperties", "uniqueItems", "const",
    "examples",
}  # fmt: skip


def odd_words(schema: Any, *, names: bool = False) -> set[str]:
    """Keys of a schema that are neither keywords nor names of properties, values left out."""
    if isinstance(schema, list):
        return set().union(*(odd_words(item) for item in schema))
    if not isinstance(schema, dict):
        return set()
    odd = set() if names else {key for key in schema if key not in KEYWORDS}
    for key, value in schema.items():
        if names or key not in ("default", "enum", "const", "required", "examples"):
            odd |= odd_words(value, names=not names and key in ("properties", "$defs"))
    return odd


def test_every_rule_has_a_section_in_the_output_documentation() -> None:
    text = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    rules = [
        line.split()[1].rstrip(":")
        for path in (ROOT / "workflow" / "rules").rglob("*.smk")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("rule ")
    ]
    assert len(rules) >= 15
    assert not [rule for rule in rules if f"`{rule}`" not in text]


def block(path: str, name: str) -> str:
    """Python between the marks of a document."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = text.split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0]
    return found.strip().removeprefix("```python").removesuffix("```")


def test_the_library_example_of_the_readme_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    source = block("README.md", "library")
    exec(compile(source, "README.md", "exec"), {})
    promised = [line.split("  # ")[1] for line in source.splitlines() if line.startswith("print(")]
    assert len(promised) >= 5
    assert capsys.readouterr().out.splitlines() == promised


def test_the_example_of_own_rules_runs_as_written() -> None:
    exec(compile(block("docs/methods.md", "rules"), "methods.md", "exec"), {"__name__": "example"})


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A program of benchmarks/ as a module."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_families_is_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    families = benchmark("families", monkeypatch)
    record = json.loads(families.RECORD.read_text(encoding="utf-8"))
    text = families.DOCUMENT.read_text(encoding="utf-8")
    assert families.document(text, record) == text, "run python benchmarks/families.py --document"
    assert [row["family"] for row in record["rows"]] == list(families.FAMILIES)


def test_the_tables_of_measured_accuracy_are_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = benchmark("document_accuracy", monkeypatch)
    record = json.loads(writer.RECORD.read_text(encoding="utf-8"))
    text = writer.DOCUMENT.read_text(encoding="utf-8")
    assert writer.document(text, record) == text, "run python benchmarks/document_accuracy.py"
    assert f"has {len(record['traps'])} small models" in text


def test_the_tables_of_results_are_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = benchmark("document_results", monkeypatch)
    text = writer.DOCUMENT.read_text(encoding="utf-8")
    assert writer.document(text, writer.records()) == text, "run make docs-results"


def test_the_document_names_no_record_that_is_not_there() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    named = set(re.findall(r"benchmarks/results/([\w-]+\.json)", text)) - {"h100.json"}
    there = {path.name for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert len(named) > 5
    assert named <= there


def test_every_name_of_the_attribution_module_is_in_its_documentation() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert not [name for name in attribution.__all__ if f"`{name}" not in text]
    properties = [name for name, item in vars(attribution.Attribution).items() if isinstance(item, property)]
    assert not [name for name in properties if not name.startswith("_") and name not in text]
    for kind in (targets.Output, targets.Slice, targets.LogCounts, targets.Profile, targets.Difference):
        assert f"`{kind.__name__}(" in text


LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "config" / "README.md"])


def anchors(path: Path) -> set[str]:
    """Headings as GitHub links to them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    broken = []
    for match in LINK.finditer(path.read_text(encoding="utf-8")):
        link = match[1] or match[2]
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken
