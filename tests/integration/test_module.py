"""cislex in another workflow: as a module, and from a folder of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from small_project import write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ROOT, command, planned

pytestmark = pytest.mark.workflow

FIRST = 'rule first:\n    output: "first.txt"\n    shell: "touch {output}"\n\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("outer"))


def plan(project: Path, own: str, *targets: str) -> tuple[dict[str, int], str]:
    """Jobs and output of a dry run of a workflow that imports cislex after rules of its own."""
    (project / "Snakefile").write_text(
        f'configfile: "config.yaml"\n\n{own}module cislex:\n    snakefile: {str(ROOT / "Snakefile")!r}\n'
        "    config: config\n\nuse rule * from cislex as cislex_*\n"
    )
    arguments = command("--dry-run", *targets, folder=project)
    arguments[arguments.index("--snakefile") + 1] = str(project / "Snakefile")
    done = subprocess.run(arguments, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return planned(done.stdout), done.stdout


def test_the_importer_keeps_its_own_first_rule_and_hears_of_no_rule_that_is_not_there(project: Path) -> None:
    jobs, said = plan(project, FIRST)
    assert jobs == {"first": 1}
    assert "localrules" not in said
    assert plan(project, FIRST, "cislex_all")[0]["cislex_render_report"] == 1


def test_an_importer_without_a_rule_of_its_own_makes_the_report(project: Path) -> None:
    assert plan(project, "")[0]["cislex_render_report"] == 1


def test_the_importer_may_have_python_files_named_as_any_of_this_workflow(project: Path) -> None:
    names = {path.stem for path in (ROOT / "workflow").rglob("*.py") if path.stem != "__init__"}
    old = {"configuration", "inputs", "record", "gate", "watch", "usage", "contents", "cluster"}
    for name in names | old | {"config", "checks", "reruns"}:
        (project / f"{name}.py").write_text(f"OWN = {name!r}\n")
    mine = sorted((names | old) - {"types"})  # "types" is Python's own
    own = "import sys\nsys.path.insert(0, workflow.basedir)\n"
    own += "".join(f"import {name}\nassert {name}.OWN == {name!r}\n" for name in mine)
    (project / "types.py").unlink()
    try:
        assert plan(project, own)[0]["cislex_render_report"] == 1
    finally:
        for path in project.glob("*.py"):
            if "OWN" in path.read_text():
                path.unlink()
