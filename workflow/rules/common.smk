"""Helpers that all rules use: the resolved config, settings by name, the code a rule depends on.

Purpose: one place where names of the config become paths.
Inputs: ``config`` as Snakemake read it. Outputs: ``config`` complete and validated, the functions below and those
of settings/, which turn the config into the arguments of each stage's rules.
Nothing here runs a job. The package is never imported (torch would load whenever Snakemake parses).
"""

import functools as _functools
import re as _re
import sys as _sys
from collections import Counter as _Counter
from pathlib import Path as _Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger as _logger

#: Folder of the project (this file lies in workflow/rules/), also when another workflow imports it.
ROOT = _Path(str(workflow.current_basedir)).resolve().parents[1]

_sys.path.insert(0, str(ROOT / "workflow"))
from cislex_workflow import job_resources as _job_resources
from cislex_workflow import job_usage as _job_usage
from cislex_workflow import model_sources as _model_sources
from cislex_workflow import run_record as _run_record
from cislex_workflow.checks import asked as _asked
from cislex_workflow.checks import before_start as _before_start
from cislex_workflow.checks import budget as _budget
from cislex_workflow.checks import cluster as _cluster
from cislex_workflow.checks import few_regions as _few_regions
from cislex_workflow.checks import gate as _gate
from cislex_workflow.checks import input_files as _input_files
from cislex_workflow.config import configuration as _configuration
from cislex_workflow.config import contrast_checks as _contrast_checks
from cislex_workflow.config import model_settings as _model_settings
from cislex_workflow.config import motif_settings as _motif_settings
from cislex_workflow.config import paths as _config_paths
from cislex_workflow.config import region_settings as _region_settings
from cislex_workflow.config import screen_checks as _screen_checks
from cislex_workflow.config import storage_settings as _storage_settings
from cislex_workflow.config import track_targets as _track_targets
from cislex_workflow.config import yaml_files as _yaml_files
from cislex_workflow.expected_use import experiments as _expected_experiments
from cislex_workflow.expected_use import work as _expected_work
from cislex_workflow.reruns import source_digest as _source_digest
from cislex_workflow.reruns import watch as _watch
from cislex_workflow.terminal import checked as _checked
from cislex_workflow.terminal import closing as _closing
from cislex_workflow.terminal import lines as _lines
from cislex_workflow.terminal import under_way as _under_way

_sys.path.pop(0)

#: Another workflow may import this one, and then reads and makes files of its own.
_IS_MAIN = _Path(workflow.main_snakefile).resolve() in (
    ROOT / "Snakefile",
    ROOT / "workflow" / "Snakefile",
)
#: Whether `all` is what Snakemake makes where no target is named.
IS_DEFAULT = _IS_MAIN or workflow.default_target is None

#: The jobs of this run, and whether the terminal shows them.
_JOBS = _under_way.UnderWay()
_SHOWN = _lines.wanted(workflow, is_main=_IS_MAIN)
if _SHOWN:
    _lines.install(_logger, _JOBS)

_problem = _config_paths.folder_problem(ROOT, _sys.executable)
if _problem:
    raise WorkflowError(_problem)

_lost = _yaml_files.problems_of(map(_Path, workflow.configfiles), numbers=_IS_MAIN)
if _lost:
    raise WorkflowError("\n  ".join(["invalid config:", *_lost]))

try:
    #: The complete config as the snapshot keeps it: {project} still stands for this folder.
    PORTABLE_CONFIG = _configuration.resolve(
        config,
        ROOT / "workflow" / "schemas" / "config.schema.yaml",
        given=dict(workflow.config_settings.config),
    )
except _configuration.ConfigurationError as _error:
    raise WorkflowError(str(_error)) from None

if workflow.is_main_process:
    for _notice in _configuration.notices(PORTABLE_CONFIG):
        _logger.warning(_notice)

config = _configuration.replace(PORTABLE_CONFIG, "{project}", str(ROOT))

RESULTS = config["results"]

if workflow.is_main_process:
    for _notice in _few_regions.notices(_expected_work.Work(config)):
        _logger.warning(_notice)

#: Whether finished results are checked and nothing else is asked for: their inputs may be gone, and nothing in
#: the folder may change but the table.
CHECKS_ONLY = _IS_MAIN and _asked.is_check(_sys.argv[1:], RESULTS)

if _IS_MAIN and workflow.is_main_process and not CHECKS_ONLY:
    _problem = _before_start.refusal(
        config, _Path.cwd(), list(map(_Path, workflow.configfiles))
    )
    if _problem:
        raise WorkflowError(_problem)


wildcard_constraints:
    regions="[A-Za-z0-9][A-Za-z0-9_.-]*",
    model="[A-Za-z0-9][A-Za-z0-9_.-]*",
    analysis="[A-Za-z0-9][A-Za-z0-9_.-]*",
    target="[A-Za-z0-9][A-Za-z0-9_.-]*",
    fold="[A-Za-z0-9][A-Za-z0-9_.-]*",
    database="[A-Za-z0-9][A-Za-z0-9_.-]*",
    variants="[A-Za-z0-9][A-Za-z0-9_.-]*",
    insertion="[A-Za-z0-9][A-Za-z0-9_.-]*",
    comparison="[A-Za-z0-9][A-Za-z0-9_.-]*",
    source="[A-Za-z0-9][A-Za-z0-9_.-]*",
    evolution="[A-Za-z0-9][A-Za-z0-9_.-]*",
    contrast="[A-Za-z0-9][A-Za-z0-9_.-]*",
    chunk="[0-9]+",


def code(script):
    """Digest of the code that a rule's script can run, as a function of wildcards for the parameter `code`.

    Snakemake reruns a rule when this parameter changes; comments, docstrings and times of files are no part
    of it. A function, so that a job on a cluster reads the code of its own rule only.
    """
    return lambda wildcards: _code(script, ())


def code_with_model(script, model=None):
    """The same for a script that loads a model, and so has the code of its loader and of no other.

    ``model`` gives the model's name, from wildcards; by default it is that of the job's analysis.
    """
    return lambda wildcards: _code(script, _loader_of((model or model_of)(wildcards)))


def code_with_method(script, analysis=None):
    """The same for a script that carries out the method of an analysis, and no other, with its model.

    ``analysis`` gives that analysis's settings, from wildcards; by default it is the job's own.
    """

    def found(wildcards):
        settings = (analysis or analysis_of)(wildcards)
        method = settings["method"]
        automatic = (method.get("references") or {}).get("n") == "auto"
        dynamic = _source_digest.executors(method["name"], script, automatic=automatic)
        return _code(script, (*dynamic, *_loader_of(settings["model"])))

    return found


def _loader_of(model):
    return (_source_digest.loader(config["models"][model]["loader"]),)


@_functools.cache
def _code(script, dynamic):
    return _source_digest.digest(ROOT / "scripts", script, dynamic=dynamic)


def analysis_of(wildcards):
    """Settings of the analysis that a job belongs to."""
    return config["analyses"][wildcards.analysis]


def with_motifs(key="motifs"):
    """Analyses with motif discovery, or with another part (``hits``, ``seqlets``), as a pattern."""
    names = [_re.escape(name) for name, a in config["analyses"].items() if a[key]]
    return "|".join(names) or "(?!)"


def regions_of(wildcards):
    """Name of the region set of an analysis."""
    return analysis_of(wildcards)["regions"]


def model_of(wildcards):
    """Name of the model of an analysis."""
    return analysis_of(wildcards)["model"]


def fasta_path():
    """The genome; nothing where there is none, which nothing then needs (configuration.resolve)."""
    return config["genome"]["fasta"] if config["genome"] else []


def genome_extra():
    """Alias table and blacklist, where the config has them, as named inputs."""
    genome = config["genome"] or {}
    return {key: genome[key] for key in ("aliases", "blacklist") if genome.get(key)}


def region_length(regions):
    """Window length of a region set in bp: its own, or its models' input length (checked to agree)."""
    own = config["regions"][regions]["length"]
    if own is not None:
        return own
    for analysis in config["analyses"].values():
        if analysis["regions"] == regions:
            return config["models"][analysis["model"]]["input_length"]
    return None


def input_length(model):
    """Sequence length that a model takes, in bp."""
    return config["models"][model]["input_length"]


def is_trained_here(model, fold):
    """Whether train_model makes the weights of this fold."""
    return (
        config["models"][model]["loader"] == "trained"
        and config["models"][model]["folds"][fold] is None
    )


def weights_of(model, fold):
    """Weights of one fold: given in the config, or made by train_model."""
    if is_trained_here(model, fold):
        return f"{RESULTS}/models/{model}/{fold}.pt"
    return config["models"][model]["folds"][fold]


def folds_of(wildcards):
    """Names of the folds that a job's analysis uses, in the order of the config."""
    return used_folds(analysis_of(wildcards))


def used_folds(analysis):
    """The same of an analysis."""
    return _model_settings.folds_used(analysis, config["models"][analysis["model"]])


def chunks_of(wildcards):
    """Chunk numbers of an analysis."""
    return range(config["regions"][regions_of(wildcards)]["chunks"])


def model_options(model):
    """How a model is loaded: the settings that load_model takes."""
    options = _configuration.model_options(config["models"][model])
    if isinstance(options.get("bias"), dict):
        options["bias"] = {
            weights_of(model, fold): path for fold, path in options["bias"].items()
        }
    return options


@_functools.cache
def model_code(model):
    """Files that the model needs besides its weights, as inputs that trigger reruns."""
    source = (config["models"][model]["module"] or "").rsplit(":", 1)[0]
    imported = _model_sources.neighbours(source) if source else []
    return [*_configuration.model_files(config["models"][model]), *imported]


def has_coordinates(regions):
    """Whether a region set is on the genome (sequences given directly do not)."""
    return config["regions"][regions]["peaks"] is not None


def all_targets(path, *, coordinates_only=False):
    """``path`` (with {analysis} and {target}) for every target of every analysis."""
    return [
        f"{RESULTS}/{path.format(analysis=name, target=target)}"
        for name, analysis in config["analyses"].items()
        for target in analysis["targets"]
        if has_coordinates(analysis["regions"]) or not coordinates_only
    ]


def chunk_output(path):
    """Chunk files are temporary unless some analysis keeps them."""
    return (
        path
        if any(a["keep_chunks"] for a in config["analyses"].values())
        else temp(path)
    )


include: "settings/allocation.smk"
include: "settings/regions.smk"
include: "settings/training.smk"
include: "settings/evaluation.smk"
include: "settings/attribution.smk"
include: "settings/motifs.smk"
include: "settings/lexicon.smk"
include: "settings/variants.smk"
include: "settings/insertions.smk"
include: "settings/comparison.smk"
include: "settings/contrasts.smk"
include: "settings/evolution.smk"
include: "settings/syntax.smk"
include: "settings/cost.smk"
include: "settings/exports.smk"
include: "settings/report.smk"
include: "settings/verification.smk"
