"""Writing of the report: one page, or an index and a page for each target."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from cislex.errors import InputError
from cislex.files.tables import write_text
from cislex.files.temporary import replace_folder, temporary_folder
from cislex.report.figures.logos import glyph_definitions
from cislex.report.links import Links
from cislex.report.places import INDEX, Places
from cislex.report.sections.concerns import in_order
from cislex.report.targets import TargetView
from cislex.report.template import identifier, load_template


def write_pages(
    out: str | Path,
    run: Mapping[str, Any],
    targets: Sequence[TargetView],
    places: Places,
    own: Sequence[Places],
    *,
    template: str | Path,
    links: Links,
) -> int:
    """Write the only page, or a folder of pages and the page that leads there.

    Parameters
    ----------
    out
        The page; the folder has its name without ``.html``.
    run
        What the template is given on every page.
    targets
        All targets.
    places, own
        Addresses on the only page or the index, and on each target's page; empty: there is one page.
    template, links
        The Jinja template, and what makes links.

    Returns
    -------
    int
        Bytes written.
    """
    out = Path(out)
    every = {
        **run, "places": places, "targets": targets, "anchors": {target.anchor for target in targets},
        "entries": [], "page": "whole",
    }  # fmt: skip
    if not own:
        page = load_template(template, out.resolve().parent, links)
        size = _write(page.render(**every, glyphs=glyph_definitions(_definitions(targets))), out)
        _remove_pages(out.with_suffix(""))
        return size
    if out.suffix != ".html":
        raise InputError(f"report: {out}: the report of many targets needs a name that ends in .html")
    folder = out.with_suffix("")
    page = load_template(template, folder.resolve(), links)
    with temporary_folder(folder) as temporary:
        entries = [entry for target in targets for entry in _entries(target, places)]
        index = {**every, "page": "index", "entries": entries, "glyphs": glyph_definitions()}
        size = _write(page.render(**index), temporary / INDEX)
        for target, here in zip(targets, own, strict=True):
            only = {
                **every, "page": "target", "targets": [target], "places": here,
                "concerns": in_order(target.concerns), "glyphs": glyph_definitions(_definitions([target])),
            }  # fmt: skip
            size += _write(page.render(**only), temporary / f"{target.anchor}.html")
        replace_folder(temporary, folder)
    return size + _write(_leading_to(f"{quote(folder.name)}/{INDEX}", run["title"]), out)


def _remove_pages(folder: Path) -> None:
    """Remove the pages of an earlier report of more targets, which would look like part of this one."""
    pages = list(folder.iterdir()) if (folder / INDEX).is_file() else []
    if pages and all(page.suffix == ".html" and page.is_file() for page in pages):
        shutil.rmtree(folder)


def _definitions(targets: Sequence[TargetView]) -> Markup:
    """Logos that the targets of a page share; each target names the same ones where all are on one page."""
    return targets[0].symbols.definitions


def _entries(target: TargetView, places: Places) -> list[tuple[str, str]]:
    """What a search on the index finds on a target's page: text and address."""
    motifs = [
        (motif.search, f"motif-{identifier(motif.name)}") for motif in (*target.motifs, *target.flagged)
    ]
    regions = [(region.search, region.identifier) for region in target.regions]
    label = target.spec.label
    return [
        (f"{text} in {label}", places.href(f"{target.anchor}-{end}", target.anchor))
        for text, end in (*motifs, *regions)
    ]


def _leading_to(address: str, title: str) -> str:
    """A page that leads to another one."""
    page = Markup(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta http-equiv="refresh" content="0; url={address}">\n</head>\n'
        '<body><main><h1>{title}</h1><p><a href="{address}">The report</a></p></main></body>\n</html>\n'
    )
    return str(page.format(title=title, address=address))


def _write(html: str, path: Path) -> int:
    write_text(html, path)
    return len(html.encode())
