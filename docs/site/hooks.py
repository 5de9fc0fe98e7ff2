"""What the site needs beyond mkdocs.yml: pages from outside docs/, links to them, formulas, notebooks.

The documents are written for GitHub, too, and stay where they are: links are rewritten here, never there.
"""

from __future__ import annotations

import json
import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown.blockprocessors import OListProcessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# As on GitHub, a list goes on with its number after a block of code.
OListProcessor.LAZY_OL = False

#: Warnings stop a strict build.
LOG = logging.getLogger("mkdocs.hooks")
ROOT = Path(__file__).resolve().parents[2]
#: Documents outside docs/ that are pages, and their place in the site.
OUTSIDE = {
    "config/README.md": "config.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "overview.md",
}
ORIGINS = {page: path for path, page in OUTSIDE.items()}
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
FENCE = re.compile(r"(^ *```.*?^ *```[^\n]*$)", re.M | re.S)
INLINE_MATH, BLOCK_MATH = re.compile(r"\$`([^`]+)`\$"), re.compile(r"^```math\n(.*?)\n```$", re.M | re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents outside docs/, and read notebooks as pages."""
    for page, path in ORIGINS.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            text = notebook(ROOT / "docs" / file.src_uri)
            files.remove(file)
            made = File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=text)
            files.append(made)
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lead the names of notebooks in the navigation to their pages."""
    config.nav = json.loads(json.dumps(config.nav).replace('.ipynb"', '.md"'))
    return config


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrite links to files outside docs/ and set formulas aside."""
    uri = page.file.src_uri
    origin = ORIGINS.get(uri, f"docs/{uri}")
    formulas: list[str] = []

    def aside(match: re.Match[str], display: str) -> str:
        formulas.append(convert(match[1], display=display))
        return f"FORMULA{len(formulas) - 1:04d}END"

    markdown = BLOCK_MATH.sub(lambda match: f"\n{aside(match, 'block')}\n", markdown)
    parts = FENCE.split(markdown)
    for i in range(0, len(parts), 2):
        parts[i] = INLINE_MATH.sub(lambda match: aside(match, "inline"), parts[i])
        parts[i] = LINK.sub(lambda match: match[1] + linked(match[2], origin, uri), parts[i])
    page.meta["formulas"] = formulas
    return "".join(parts)


def linked(link: str, origin: str, page: str) -> str:
    """Target in parentheses as seen from the page; files that are no pages are only named."""
    path, mark, anchor = link.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return f"({link})"
    target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    if not (ROOT / target).exists():
        raise PluginError(f"{origin}: no file {target} (link to {link})")
    inside = OUTSIDE.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
    if inside is None:
        return ""
    inside = inside.replace(".ipynb", ".md")
    return f"({posixpath.relpath(inside, posixpath.dirname(page) or '.')}{mark}{anchor})"


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Put the formulas in their places, as MathML; warn of lists and tables that GitHub alone understands."""
    plain = re.sub(r"<pre.*?</pre>", "", html, flags=re.S)
    for line in re.findall(r"^(?:- |\| |\d\. ).{0,40}", plain, re.M):
        LOG.warning("%s: shown as text, set a blank line before it: %s", page.file.src_uri, line)
    for number, formula in enumerate(page.meta.pop("formulas", [])):
        html = html.replace(f"FORMULA{number:04d}END", formula)
    return html


def notebook(path: Path) -> str:
    """Executed notebook of build/notebooks (`make docs-notebooks`), or else the stored one, as Markdown."""
    executed = ROOT / "build" / "notebooks" / path.name
    cells = json.loads((executed if executed.exists() else path).read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in cell_text(cell)) + "\n"


def cell_text(cell: dict[str, Any]) -> list[str]:
    """Markdown of one cell: its source, then what it shows."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    parts = [f"```python\n{source}\n```"]
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "text" in output or ("text/plain" in data and not data.keys() & {"image/png", "text/html"}):
            text = "".join(output.get("text", data.get("text/plain", "")))
            parts.append(f"```text {{ .output }}\n{text.rstrip()}\n```")
        if "text/html" in data:
            parts.append(f'<div class="output">{"".join(data["text/html"])}</div>')
        if "image/png" in data:
            image = "".join(data["image/png"]).replace("\n", "")
            parts.append(
                f'<img class="output" alt="Figure of the cell above" src="data:image/png;base64,{image}">'
            )
    return parts
