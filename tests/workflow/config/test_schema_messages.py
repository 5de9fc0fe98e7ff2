"""What the schema refuses is told in words: the key, what was found, what is expected, what to write."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cislex_workflow.config import configuration, schema
from cislex_workflow.config.schema_parts import below, options

ROOT = Path(__file__).resolve().parents[3]
SCHEMA_FILE = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SCHEMA: dict[str, Any] = yaml.safe_load(SCHEMA_FILE.read_text())
#: Phrases of the validator.
RAW = re.compile(
    r"is not of type|is not valid under|is valid under each|does not match|is not one of|required property"
    r"|is less than|is greater than|is too (short|long)|should be non-empty|non-unique|does not have enough"
    r"|found (None|True|False)"
)
WRONG: list[Any] = [True, None, -7, 0.5, "?!", "", [], [[], {}], {"?!": 1}, datetime.date(2026, 1, 2)]
CONFIG = yaml.safe_load("""
genome: {fasta: g.fa}
regions: {mine: {peaks: p.bed}}
models: {net: {loader: factory, module: "m.py:f", input_length: 100, folds: {a: a.pt}}}
analyses: {first: {regions: mine, model: net, targets: {t: {kind: output}}, hits: {}}}
insertions: {x: {analysis: first, words: all}}
variants: {v: {analysis: first, vcf: v.vcf}}
""")


def places(
    parts: list[dict[str, Any]], path: tuple[Any, ...] = (), deep: int = 0
) -> Iterator[tuple[Any, ...]]:
    """Every key of the schema, with a name where the user chooses it, and the entries of lists."""
    keys = dict.fromkeys(key for part in parts for key in part.get("properties", ()))
    if any(isinstance(part.get("additionalProperties"), dict) for part in parts):
        keys["some"] = None
    for key in keys:
        inner = below(parts, key, SCHEMA)
        yield (*path, key)
        if key not in ("a", "b", "of", "parts"):  # targets of targets
            yield from places(inner, (*path, key))
    for part in parts:
        if "items" in part and path[-1] != 0:
            yield (*path, 0)


def problems(path: tuple[Any, ...], value: Any) -> list[str]:
    for part in reversed(path):
        value = [value] if part == 0 else {part: value}
    return list(schema.problems(value, SCHEMA))


def test_every_key_says_in_words_what_it_expects() -> None:
    """Of every type that a key does not take, without a phrase of the validator."""
    every = list(places(list(options(SCHEMA, SCHEMA))))
    assert len(every) > 250
    validator = jsonschema.Draft202012Validator
    for path in every:
        parts = list(options(SCHEMA, SCHEMA))
        for part in path:
            parts = (
                [found for entry in parts if "items" in entry for found in options(entry["items"], SCHEMA)]
                if part == 0
                else below(parts, part, SCHEMA)
            )
        takes = validator({**parts[0], "$defs": SCHEMA["$defs"]})
        assert all(takes.is_valid(example) for example in parts[0].get("examples", ())), path
        for value in WRONG:
            lines = problems(path, value)
            assert not [line for line in lines if RAW.search(line)], lines
            where = ".".join(map(str, path))
            own = [line for line in lines if line.startswith((f"{where}:", f"{where}."))]
            assert bool(own) or takes.is_valid(value), (path, value, lines)
            if not isinstance(value, dict | list) and not takes.is_valid(value):
                assert any(re.match(rf"{re.escape(where)}: found .+, expected \S", line) for line in own), own


def changed(path: str, value: Any) -> str:
    """What is said of a config with another value; ``yes`` where it is valid."""
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    entry = config
    *parents, last = path.split(".")
    for part in parents:
        entry = entry[part]
    entry[last] = yaml.safe_load(value)
    try:
        configuration.resolve(config, SCHEMA_FILE)
    except configuration.ConfigurationError as error:
        return str(error).replace("invalid config:\n  ", "")
    return "yes"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("analyses.first.hits", "true", "first.hits: found true, expected null or a mapping with the keys "
         "method, alpha, batch_size, max_p, database, release, …; for the defaults write {}. Occurrences"),
        ("analyses.first.seqlets", "true", "found true, expected null or a mapping with the keys max_q"),
        ("insertions.x.sites", "true", "x.sites: found true, expected null or a mapping"),
        ("lexicon", "false", "lexicon: found false, expected null or a mapping .*; for none write null"),
        ("variants.v", "null", "variants.v: found null, expected a mapping with the keys analysis, vcf"),
        ("variants.v", "{analysis: first, vcf: v.vcf, table: t.tsv}",
         "variants.v: give exactly one of vcf, table; found vcf and table"),
        ("variants.v", "{analysis: first}", "give exactly one of vcf, table; found none"),
        ("variants.v", "{analysis: first, vcf: null}", "give exactly one of vcf, table; found none"),
        ("variants.v.vcf", "5", "variants.v.vcf: found 5, expected a path or null; write text in quotes"),
        ("insertions.x.pairs", "[Reb1, Abf1]", "x.pairs: found [Reb1, Abf1], expected all, a list of lists "
         "of 2 texts or null; write [[Reb1, Abf1]]"),
        ("insertions.x.pairs", "[a, b, c]", "x.pairs.0: found 'a', expected a list of 2 texts; for example "
         "pairs: [[ap1, ets]]"),
        ("insertions.x.spacings", "[10, 20]", "found [10, 20], expected a mapping with the keys from, to, "
         "step; for example spacings: {from: 10, to: 70, step: 3}"),
        ("insertions.x.motifs", "[TGACTCA]", "for example motifs: {ap1: TGASTCA}"),
        ("insertions.x.motifs", '{x: ""}', "x.motifs.x: found an empty text, expected text"),
        ("insertions.x.motifs", '{"": A}', "x.motifs: found an empty name"),
        ("analyses.first.motifs", "{database: [my.meme]}", "found [my.meme], expected a path or null; for "
         "several use 'databases'"),
        ("analyses.first.motifs", "{databases: my.meme}", "expected a list of one or more paths or null; "
         "write [my.meme]"),
        ("analyses.first.method", "tism", "found 'tism', expected a mapping with the keys name, rule"),
        ("models.net.module", "m.py", "module: found 'm.py', expected path/to/model.py:function or null"),
        ("fetch", "{x: {url: a.org}}", "fetch.x.url: found 'a.org', expected a URL"),
        ("analyses.first.qc", "null", "first.qc: found null, expected a mapping with the keys max_rel"),
        ("insertions", "null", "yes"),
        ("variants", "null", "yes"),
        ("fetch", "null", "yes"),
        ("variants.v.counts", "null", "yes"),
        ("regions.mine.exclude_chromosomes", "null", "yes"),
        ("regions", "null", "regions: found null, expected a mapping of names to mappings"),
    ],
)  # fmt: skip
def test_natural_mistakes_are_answered_with_what_to_write(key: str, value: str, said: str) -> None:
    found = changed(key, value)
    assert re.search(re.escape(said).replace(r"\.\*", ".*"), found), found
    assert "\n" not in found or "pairs" in key
