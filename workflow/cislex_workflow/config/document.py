"""Write the tables of config keys in config/README.md from the schema, so that both agree.

Run: make config-tables
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "config" / "README.md"
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
BEGIN, END = "<!-- keys: begin -->", "<!-- keys: end -->"
#: Key, type and bounds, default, meaning.
Row: TypeAlias = tuple[str, str, str, str]
#: What most configs set, in the order in which one thinks of it.
EVERYDAY = (
    "results", "genome.fasta", "genome.blacklist", "regions.<name>.peaks", "regions.<name>.chunks",
    "regions.<name>.exclude_chromosomes", "models.<name>.loader", "models.<name>.module",
    "models.<name>.folds", "models.<name>.input_length", "analyses.<name>.regions", "analyses.<name>.model",
    "analyses.<name>.targets", "analyses.<name>.method.name", "analyses.<name>.method.references.n",
    "analyses.<name>.motifs.database", "analyses.<name>.hits",
)  # fmt: skip
EVERYDAY_HEADING = "Everyday keys"
#: Headings of the sections, and the keys that stand below them; keys of none are about the run.
HEADINGS = {
    "simulate": "Simulation", "fetch": "Downloads", "genome": "Genome", "regions": "Regions",
    "models": "Models", "models.<name>.training": "Training", "analyses": "Analyses",
    "analyses.<name>.targets": "Targets of an analysis", "analyses.<name>.labels": "Labels of an analysis",
    "analyses.<name>.method": "Method and references", "analyses.<name>.qc": "Quality gate",
    "analyses.<name>.attributions": "Storage of attributions", "analyses.<name>.screen": "Screens",
    "analyses.<name>.motifs": "Motifs", "analyses.<name>.hits": "Hits",
    "analyses.<name>.syntax": "Syntax", "analyses.<name>.seqlets": "Seqlets", "lexicon": "Lexicon",
    "variants": "Variants", "insertions": "Insertions", "evolution": "Evolution",
    "comparisons": "Comparisons", "contrasts": "Contrasts",
}  # fmt: skip
RUN = "The run"


def rows(schema: dict[str, Any], root: dict[str, Any], where: str = "") -> Iterator[Row]:
    """Yield key, type and bounds, default, and description of every key, depth first."""
    schema = _dereference(schema, root)
    options = [option for option in schema.get("oneOf", []) if "$ref" in option or "properties" in option]
    objects = [schema, *(options if "properties" not in schema else [])]
    for part in objects:
        part = _dereference(part, root)
        for key, raw in part.get("properties", {}).items():
            entry = _dereference(raw, root)
            if where and key == "kind" and "default" not in entry:
                continue
            default = _default(entry) or ("required" if key in part.get("required", []) else "")
            yield f"{where}{key}", _kind(entry, root), default, entry.get("description", "")
            yield from rows(entry, root, f"{where}{key}.")
        others = part.get("additionalProperties")
        if isinstance(others, dict) and ("$ref" in others or "properties" in others):
            yield from rows(others, root, f"{where}<name>.")


def _default(entry: dict[str, Any]) -> str:
    if "default" not in entry:
        return ""
    text = yaml.safe_dump(entry["default"], default_flow_style=True)
    return f"`{text.removesuffix(chr(10)).removesuffix('...').strip()}`"


def _kind(entry: dict[str, Any], root: dict[str, Any]) -> str:
    if "enum" in entry:
        return ", ".join("null" if value is None else str(value) for value in entry["enum"])
    if "oneOf" in entry and "type" not in entry:
        return "mapping or null"
    kind = entry.get("type", "mapping")
    text = " or ".join(kind) if isinstance(kind, list) else kind
    text = {"object": "mapping", "array": "list"}.get(text, text)
    bounds = [
        f"{sign} {entry[name]}"
        for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if name in entry and entry[name] != 2147483647
    ]
    return " ".join([text, *bounds])


def _dereference(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}


def section_of(key: str) -> str:
    """The heading under which a key stands: the innermost of ``HEADINGS`` that it belongs to."""
    found = [prefix for prefix in HEADINGS if key == prefix or key.startswith(f"{prefix}.")]
    return HEADINGS[max(found, key=len)] if found else RUN


def document() -> str:
    """Text of config/README.md with the tables as the schema has them."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    found = list(rows(schema, schema))
    everyday = {key: row for row in found if (key := row[0]) in EVERYDAY}
    sections: dict[str, list[Row]] = {EVERYDAY_HEADING: [everyday[key] for key in EVERYDAY]}
    for row in found:
        sections.setdefault(section_of(row[0]), []).append(row)
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    tables = "\n\n".join(_table(heading, lines) for heading, lines in sections.items())
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def _table(heading: str, lines: list[Row]) -> str:
    cells = [f"| `{key}` | {kind} | {default} | {text} |" for key, kind, default, text in lines]
    return "\n".join(
        [f"### {heading}", "", "| key | values | default | meaning |", "| --- | --- | --- | --- |", *cells]
    )


if __name__ == "__main__":
    README.write_text(document(), encoding="utf-8")
