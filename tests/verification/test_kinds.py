"""Every file that a rule makes, and that docs/output.md names, is of a kind that a check of results knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cislex.verification.kinds import KINDS, LEFT_OUT, kind_of
from cislex.verification.tables import TABLES
from rule_texts import rule_texts

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")


def outputs() -> list[tuple[str, str]]:
    """Rule and path below the results folder of every output, wildcards filled in."""
    found = []
    for rule, text in rule_texts().items():
        for block in re.findall(r"^( +)output:\n((?:\1 +.*\n|\n)+)", text, re.M):
            for path in re.findall(r'f"\{RESULTS\}/([^"]+)"', block[1]):
                name = re.sub(r"\{\{?(\w+)\}?\}", r"\1", path)
                found.append((rule, name))
    return found


def test_outputs_of_all_rules_are_found() -> None:
    rules = {rule for rule, _ in outputs()}
    silent = {rule for rule, text in rule_texts().items() if "output:" in text} - rules
    assert silent == {"fetch_resources", "export_browser"}, (
        "no results, and a folder whose content is settings"
    )
    assert kind_of("browser/data/a.bw")


@pytest.mark.parametrize(("rule", "path"), outputs())
def test_every_output_of_a_rule_is_of_a_known_kind(rule: str, path: str) -> None:
    if path.endswith("/logos"):
        path += "/pos_0.svg"
    if path.startswith("exports/"):
        path += "/regions.narrowPeak"
    if path == "report":
        path += "/index.html"
    assert LEFT_OUT.fullmatch(path) or kind_of(path), (
        f"{path} of {rule}: add it to cislex/verification/kinds.py"
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_every_kind_is_documented_and_found_by_its_place(kind: object) -> None:
    for place in kind.places:  # type: ignore[attr-defined]
        name = place.rpartition("/")[2]
        told = re.sub(r"^\{(logo|run|page|chunk)\}", "", name)
        suffix = re.sub(r"^\{\w+\}", "", name)
        assert told in DOCUMENT or suffix in DOCUMENT, f"docs/output.md does not name {name}"
        found = kind_of(re.sub(r"\{(\w+)\}", r"\1", place))
        assert found is not None
        assert found[0] is kind


def test_every_documented_path_is_of_a_known_kind() -> None:
    headings = re.findall(r"^#{2,3} (.*)$", DOCUMENT, re.M)
    paths = [
        path for heading in headings for path in re.findall(r"`([\w{}<>./ -]*/[\w{}.…-]+\.[\w.]+)`", heading)
    ]
    assert len(paths) > 20
    unknown = []
    for path in paths:
        name = re.sub(r"[{<]([^}>]*)[}>]", lambda match: match[1].replace(" ", "-"), path)
        if name.startswith(("benchmarks/", "resources/")):
            continue
        last = [place.rpartition("/")[2] for kind in KINDS for place in kind.places]
        if not (kind_of(name) or LEFT_OUT.fullmatch(name) or path.rpartition("/")[2] in last):
            unknown.append(path)
    assert not unknown


def test_every_table_is_of_a_kind() -> None:
    assert set(TABLES) <= {kind.name for kind in KINDS}


@pytest.mark.parametrize("path", ["notes.txt", "shap/t/mine.tsv", "variants/a/b/c.tsv"])
def test_other_files_are_unknown(path: str) -> None:
    assert kind_of(path) is None


@pytest.mark.parametrize(
    "path", ["logs/a/b.log", "benchmarks/x.tsv", "verification.tsv", "shap/.a.h5.123", ".x/y"]
)
def test_what_is_no_result_is_left_out(path: str) -> None:
    assert LEFT_OUT.fullmatch(path)
