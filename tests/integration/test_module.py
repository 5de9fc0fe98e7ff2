"""cislex in another workflow: as a module, and from a folder of one's own."""

from __future__ import annotations

import os
import shutil
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


#: Where the importer finds cislex: the two paths at which a Snakefile is.
SNAKEFILES = [repr(str(ROOT / "Snakefile")), repr(str(ROOT / "workflow" / "Snakefile"))]


def plan(
    project: Path,
    own: str,
    *targets: str,
    snakefile: str = SNAKEFILES[0],
    names: str = " as cislex_*",
    dry: bool = True,
    **environment: str,
) -> tuple[dict[str, int], str]:
    """Jobs and output of a run (by default a dry one) of a workflow that imports cislex after own rules."""
    (project / "Snakefile").write_text(
        f'configfile: "config.yaml"\n\n{own}module cislex:\n    snakefile: {snakefile}\n'
        f"    config: config\n\nuse rule * from cislex{names}\n"
    )
    arguments = command(*(["--dry-run"] if dry else []), *targets, folder=project)
    arguments[arguments.index("--snakefile") + 1] = str(project / "Snakefile")
    done = subprocess.run(
        arguments, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return planned(done.stdout), done.stdout


def test_the_importer_keeps_its_own_first_rule_and_hears_of_no_rule_that_is_not_there(project: Path) -> None:
    jobs, said = plan(project, FIRST)
    assert jobs == {"first": 1}
    assert "localrules" not in said
    assert plan(project, FIRST, "cislex_all")[0]["cislex_render_report"] == 1


@pytest.mark.parametrize("snakefile", SNAKEFILES, ids=["Snakefile", "workflow/Snakefile"])
def test_an_importer_without_a_rule_of_its_own_makes_the_report(project: Path, snakefile: str) -> None:
    assert plan(project, "", snakefile=snakefile)[0]["cislex_render_report"] == 1


def test_the_standard_path_is_the_same_workflow_with_the_same_profile(project: Path) -> None:
    shown = []
    for snakefile in (ROOT / "Snakefile", ROOT / "workflow" / "Snakefile"):
        arguments = command("--configfile", "config.yaml", "--dry-run", folder=project)
        arguments[arguments.index("--snakefile") + 1] = str(snakefile)
        done = subprocess.run(arguments, cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "profiles/default for setting default command line arguments" in done.stderr
        shown.append(planned(done.stdout + done.stderr))
    assert shown[0] == shown[1]
    assert shown[0]["render_report"] == 1


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of git by which github.com/lab/cislex is a repository of this checkout, tagged v1."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("github")
    repository = folder / "lab" / "cislex"
    repository.mkdir(parents=True)
    shutil.copy(ROOT / "Snakefile", repository)
    left_out = shutil.ignore_patterns("__pycache__", "downloads")
    for name in ("config", "envs", "profiles", "resources", "scripts", "workflow"):
        shutil.copytree(ROOT / name, repository / name, symlinks=True, ignore=left_out)
    own = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "-A"), (*own, "commit", "-qm", "all"), ("tag", "v1")):
        subprocess.run(["git", *arguments], cwd=repository, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{folder}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "GITHUB_TOKEN": "",
    }


def test_what_snakedeploy_writes_runs_without_a_clone_of_ones_own(
    project: Path, published: dict[str, str]
) -> None:
    source = 'github("lab/cislex", path="workflow/Snakefile", tag="v1")'
    jobs, _ = plan(project, "", snakefile=source, names="", **published)
    assert jobs["render_report"] == 1
    (unpacked,) = (project / ".snakemake" / "cislex").iterdir()
    assert (unpacked / "scripts" / "cislex" / "__init__.py").is_file()
    # A job imports the package of the unpacked commit.
    plan(project, "", "results/gradient/inspection.txt", snakefile=source, names="", dry=False, **published)
    assert "operation" not in (project / "results" / "gradient" / "inspection.txt").read_text()  # of saliency
    assert "output" in (project / "results" / "gradient" / "inspection.txt").read_text()
    shutil.rmtree(project / "results")


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
