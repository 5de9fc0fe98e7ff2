"""The template of the page, with the filters that it uses."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from cislex.files.tables import require_file
from cislex.report.facts import count, equation, setting
from cislex.report.links import Links

#: The script of every page, beside the template.
SCRIPT = Path(__file__).with_name("script.js.j2")


def capital(sentence: str) -> str:
    """Begin a sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def identifier(name: str) -> str:
    """A name as a part of an id: other characters than letters, digits and ``_.-`` by their numbers."""
    return re.sub(r"[^A-Za-z0-9_.-]", lambda found: f"_{ord(found[0]):x}_", name)


def read_script() -> tuple[Markup, str]:
    """The page's script, and its digest, by which the page admits this script and no other one."""
    script = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Markup(script), f"sha256-{digest}"


def load_template(path: str | Path, folder: Path, links: Links | None = None) -> jinja2.Template:
    """Load the template with escaping on; ``link`` makes a path relative to the page's folder.

    Templates that it includes are read from its folder or, where they are not there, from the package.
    """
    require_file(path, what="report: template")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([Path(path).parent, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def link(target: str | Path) -> Markup:
        relative = Path(os.path.relpath(Path(target).resolve(), folder)).as_posix()
        return Markup('<a href="{}">{}</a>').format(quote(relative), relative)

    def breakable(value: str) -> Markup:
        # A path may go on in the next line after a slash, not amid a name.
        return Markup(escape(value).replace("/", Markup("/<wbr>")))

    links = links or Links()
    environment.filters |= {
        "link": link, "breakable": breakable, "count": count, "equation": equation, "capital": capital,
        "setting": setting, "identifier": identifier, "hash": lambda name: f"#{name}", "locus": links.locus,
        "doi": links.doi, "matrix": links.matrix, "matrices": links.matrices,
    }  # fmt: skip
    return environment.get_template(Path(path).name)
