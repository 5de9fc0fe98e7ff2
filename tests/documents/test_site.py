"""The site: its environment agrees with that of the workflow, and its navigation names every page."""

from __future__ import annotations

import re
from pathlib import Path

from cislex import attribution

ROOT = Path(__file__).resolve().parents[2]


def locked(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if "==" in line]
    return dict(line.lower().replace("_", "-").split("==") for line in lines)


def test_the_lock_of_the_site_has_the_versions_of_the_workflow_where_both_have_a_package() -> None:
    site, workflow = locked("requirements-docs.lock"), locked("requirements.lock")
    both = site.keys() & workflow.keys()
    assert len(both) > 10
    assert {name: site[name] for name in both} == {name: workflow[name] for name in both}
    assert "torch" not in site, "the API is read without importing it"


def test_the_navigation_has_every_page_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    named = re.findall(r": (\S+\.(?:md|ipynb))$", text, re.M)
    outside = {"overview.md", "config.md", "contributing.md", "changelog.md"}
    found = (ROOT / "docs").rglob("*.*")
    pages = {str(path.relative_to(ROOT / "docs")) for path in found if path.suffix in (".md", ".ipynb")}
    assert sorted(named) == sorted(pages | outside)


def test_the_page_of_the_api_has_every_public_name_of_attribution() -> None:
    text = (ROOT / "docs" / "reference" / "attribution.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: cislex\.attribution\.(\w+)$", text, re.M)) == sorted(attribution.__all__)
