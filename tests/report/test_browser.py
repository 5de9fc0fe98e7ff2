"""The report in a headless browser: it fits, is small, is accessible, and its script does what it should.

`make test-browser` runs these tests. That with axe-core needs the path of ``axe.min.js`` in ``CISLEX_AXE``.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import report_fixture as fixture
import report_many_targets as many
from cislex.report import render_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = os.environ.get("CISLEX_AXE", "")
WIDTHS = [1440, 1024, 768, 500]  # headless Chromium has no narrower window

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on the PATH"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of three targets."""
    root = tmp_path_factory.mktemp("results")
    arguments: dict[str, Any] = fixture.write_results(root)
    render_report(root / "report.html", title="Lexicon", **arguments)
    return root / "report.html"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of pages of fifty targets."""
    root = tmp_path_factory.mktemp("many")
    arguments: dict[str, Any] = many.write_many(root)
    render_report(root / "report.html", title="Many", **arguments)
    return root / "report"


def browse(
    page: Path, profile: Path, *, width: int = 1280, dark: bool = False, budget: int = 0
) -> tuple[str, str]:
    """Open a page in headless Chromium; return its document and what it logged."""
    assert CHROMIUM is not None
    more = ["--blink-settings=preferredColorScheme=0"] if dark else []
    more += [f"--virtual-time-budget={budget}"] if budget else []
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={profile}", f"--window-size={width},2000", *more,
            "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr


def probe(page: Path, folder: Path, script: str, **options: Any) -> Any:
    """Run a script in the page once it is loaded; return what it gives to ``told``."""
    copy = page.with_name(f"probe.{page.name}")
    # The page's policy admits no other script than its own.
    text = re.sub(r"<meta http-equiv[^>]+>", "", page.read_text(encoding="utf-8"))
    told = "const told = found => { document.body.dataset.told = JSON.stringify(found); };"
    text = text.replace(
        "</body>", f"<script>{told}addEventListener('load', async () => {{{script}}});</script></body>"
    )
    copy.write_text(text, encoding="utf-8")
    try:
        document, log = browse(copy, folder / "profile", **options)
    finally:
        copy.unlink()
    assert "CONSOLE" not in log, log
    found = re.search(r'data-told="([^"]+)"', document)
    assert found is not None, log
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_picture_is_shown_and_nothing_is_wider_than_the_page(
    page: Path, tmp_path: Path, width: int
) -> None:
    seen = probe(page, tmp_path, """
      document.querySelectorAll('details').forEach(one => { one.open = true; });
      const images = [...document.images].map(i => i.naturalWidth * i.getBoundingClientRect().width);
      const figures = [...document.querySelectorAll('svg.region, svg.chart, svg.map, svg.logo')];
      const grown = figures.filter(s => s.getBoundingClientRect().width > s.viewBox.baseVal.width + 8);
      const matches = [...document.querySelectorAll('td.match img, td.match svg')];
      told({
        images: images.length, empty: images.filter(x => !x).length, drawn: figures.length,
        flat: figures.filter(s => s.getBoundingClientRect().height < 50).length, grown: grown.length,
        wide: document.documentElement.scrollWidth - innerWidth,
        match: Math.min(...matches.map(m => m.getBoundingClientRect().width)),
      });
    """, width=width)  # fmt: skip
    assert seen["images"] >= 20
    assert seen["drawn"] == 56
    assert (seen["empty"], seen["flat"], seen["grown"]) == (0, 0, 0)
    assert seen["wide"] <= 0
    assert seen["match"] >= 100


@pytest.mark.parametrize("name", ["index.html", "analysis_0.target_0.html"])
def test_pages_of_many_targets_are_short(folder: Path, tmp_path: Path, name: str) -> None:
    seen = probe(folder / name, tmp_path, """
      told({nodes: document.getElementsByTagName('*').length,
            screens: document.documentElement.scrollHeight / 1000});
    """)  # fmt: skip
    assert (folder / name).stat().st_size < 3_000_000
    assert seen["nodes"] < 20_000
    assert seen["screens"] < 20


def test_the_script_sorts_filters_folds_and_finds(folder: Path, tmp_path: Path) -> None:
    seen = probe(folder / "index.html", tmp_path, """
      const table = document.querySelector('table.heat');
      const names = () => [...table.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent);
      const shown = () => [...table.querySelectorAll('tbody tr')].filter(row => row.offsetParent).length;
      const numbers = () => [...table.querySelectorAll('tbody tr')].map(row => row.cells[2].textContent);
      const found = {folded: shown(), first: numbers()[0]};
      const button = table.tHead.rows[0].cells[2].querySelector('button');
      button.click(); button.click();
      found.sorted = numbers(); found.order = table.tHead.rows[0].cells[2].getAttribute('aria-sort');
      found.stillFolded = shown();
      document.querySelector('.unfold').click();
      found.unfolded = shown();
      const tools = document.querySelector('#heat-map .tools');
      const set = (element, value) => { element.value = value; element.dispatchEvent(new Event('input')); };
      const [text, least] = tools.querySelectorAll('input'), [sign, known] = tools.querySelectorAll('select');
      set(sign, '-'); found.lowering = shown(); set(sign, '');
      set(least, '50500'); found.frequent = shown(); set(least, '');
      set(text, 'rap1'); found.named = shown(); set(text, '');
      const search = query => { set(document.getElementById('search'), query);
        const link = li => li.querySelector('a')?.getAttribute('href');
        return [...document.querySelectorAll('#found li')].map(li => [li.textContent, link(li)]); };
      found.motif = search('MA0101.1'); found.locus = search('chrIV:1,999,550'); found.none = search('zzz');
      told(found);
    """)  # fmt: skip
    assert (seen["folded"], seen["stillFolded"], seen["unfolded"]) == (30, 30, 60)
    assert (seen["first"], seen["sorted"][0], seen["order"]) == ("60,000", "1,000", "ascending")
    assert (seen["lowering"], seen["frequent"], seen["named"]) == (15, 10, 6)
    assert len(seen["motif"]) == 31
    assert any(href == "#word-w1" or "-motif-pos_1" in (href or "") for _, href in seen["motif"])
    assert len(seen["locus"]) == 31, "the region is drawn for each of fifty targets"
    assert "1999500-1999700" in seen["locus"][0][0]
    assert seen["none"] == [["nothing found", None]]


def test_a_permalink_opens_what_is_folded(folder: Path, tmp_path: Path) -> None:
    seen = probe(folder / "analysis_0.target_0.html", tmp_path, """
      const row = document.querySelector('table.motifs tbody.rest tr');
      const figure = document.querySelector('[id$="-region-lowest-2"]');
      const found = {before: [!!row.offsetParent, figure.closest('details').open]};
      for (const one of [row, figure]) {
        location.hash = one.id; await new Promise(done => setTimeout(done, 100));
      }
      found.after = [!!row.offsetParent, figure.closest('details').open];
      told(found);
    """, budget=5000)  # fmt: skip
    assert seen == {"before": [False, False], "after": [True, True]}


def test_tables_and_figures_are_saved_whole(folder: Path, tmp_path: Path) -> None:
    seen = probe(folder / "analysis_0.target_0.html", tmp_path, """
      const saved = [];
      URL.createObjectURL = blob => { saved.push(blob); return 'blob:x'; };
      HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
      document.querySelector('.tools button').click();
      document.querySelector('[id$="-region-1"] button.save').click();
      told([saved[1], await saved[0].text(), saved[3], await saved[2].text()]);
    """, budget=5000)  # fmt: skip
    name, tsv, picture, svg = seen
    assert name == "Motifs_of_analysis_0_target_0.tsv"
    rows = [line.split("\t") for line in tsv.rstrip("\n").split("\n")]
    assert rows[0][:3] == ["Motif", "Contribution logo and consensus", "Seqlets"]
    assert len(rows) == 1 + 54
    assert {len(row) for row in rows} == {6}
    assert picture.endswith(".svg")
    assert svg.startswith("<svg")
    assert {*re.findall(r'href="#([^"]+)"', svg)} <= {*re.findall(r'id="([^"]+)"', svg)}


def test_without_the_script_every_row_is_there(folder: Path, tmp_path: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    bare = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    (tmp_path / "bare.html").write_text(bare, encoding="utf-8")
    seen = probe(tmp_path / "bare.html", tmp_path, """
      const rows = [...document.querySelectorAll('table.heat tbody tr')];
      told([rows.length, rows.filter(row => row.offsetParent).length]);
    """)  # fmt: skip
    assert seen == [60, 60]


@pytest.mark.skipif(not Path(AXE).is_file(), reason="no axe-core: set CISLEX_AXE to the path of axe.min.js")
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (500, False), (1280, True)])
@pytest.mark.parametrize("name", ["report", "index", "analysis_0.target_0"])
def test_axe_finds_no_violation(
    page: Path, folder: Path, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    opened = page if name == "report" else folder / f"{name}.html"
    axe = Path(AXE).read_text(encoding="utf-8").replace("</script", "<" + chr(92) + "/script")
    run = """
      const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
      const result = await axe.run(document, {runOnly: tags, resultTypes: ['violations']});
      told(result.violations.map(one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200)]));
    """
    assert probe(opened, tmp_path, axe + run, width=width, dark=dark, budget=100_000) == []
