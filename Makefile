# All user commands. `make demo` works on a bare machine with Python 3.11, 3.12 or 3.13.
PYTHON ?= python3
CORES ?= 2
# Snakemake starts jobs only with a Python whose path has no blanks: in such a clone, make … VENV=/path/elsewhere.
VENV ?= .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
# HASHES=1: install no file whose SHA-256 is not in requirements.hashes.lock. torch is left out: the builds for CPUs
# and GPUs of one version are different files.
HASHES ?=
CONFIG ?= config/config.yaml
PROFILE ?= profiles/slurm
# Recipes read them as "$$CONFIG": a name may hold blanks and quotes.
export CONFIG PROFILE GPU RESULTS
RUN := $(BIN)/snakemake --cores $(CORES) --rerun-incomplete

.PHONY: help environment bedtools demo yeast published grammar benchmark test unit lint integration clean

help:
	@echo "make demo        install everything and run the demo (synthetic genome): results/demo/report.html"
	@echo "make new NAME=mine GENOME=genome.fa PEAKS=my.narrowPeak MODEL=fold_0.pt MODULE=my_model.py:build"
	@echo "                 write a config for your own data: config/mine.yaml"
	@echo "make inspect   CONFIG=config/mine.yaml   before the run: can the models be attributed?"
	@echo "make estimate  CONFIG=config/mine.yaml   before the run: hours, memory, disk, number of chunks"
	@echo "make run       CONFIG=config/mine.yaml   the run (CORES=8)"
	@echo "make cluster   CONFIG=config/mine.yaml PROFILE=profiles/mysite   the same on a cluster (docs/cluster.md)"
	@echo "make resources CONFIG=config/mine.yaml   after the run: used and requested resources compared"
	@echo "make check     CONFIG=config/mine.yaml   after the run: every file read again (RESULTS=<folder>: of a copy)"
	@echo "Examples:        make yeast, published, grammar, benchmark (README.md)"
	@echo "Development:     make test, lint, unit, coverage, audit, wheel, docs (CONTRIBUTING.md)"
	@echo "More tests:      make test-wheel, test-browser, test-determinism, faults, test-slurm (CONTRIBUTING.md)"

$(VENV)/.installed: requirements.lock
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "no Python at $(PYTHON), and the pinned packages exist for Python 3.11, 3.12 and 3.13: \
	install one, or add PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), and the pinned packages exist for Python 3.11, 3.12 and 3.13: \
	add PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) cannot make the environment $(VENV): see the lines above (Debian, Ubuntu: apt install \
	python3-venv), or choose another folder with VENV=/path"; exit 1; }
	{ $(if $(HASHES),$(PIP) install --require-hashes --no-deps --requirement requirements.hashes.lock &&) \
	  $(PIP) install --requirement requirements.lock; } || { \
	  echo "pip could not install requirements.lock: see the lines above; it needs a package index (network, or \
	PIP_INDEX_URL) and about 2 GB of space"; exit 1; }
	touch $@

# Licences of all packages, and known vulnerabilities of their versions (asks the PyPI advisory service).
AUDIT := .venv-audit
.PHONY: audit
audit: environment
	test -d $(AUDIT) || { $(PYTHON) -m venv $(AUDIT) && \
	  $(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1 pip-licenses==5.5.5; }
	$(AUDIT)/bin/pip-licenses --python=$(BIN)/python --from=mixed --order=license
	$(AUDIT)/bin/pip-audit --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# Write the SHA-256 of every published file of the pinned packages (needs uv).
.PHONY: hashes
hashes:
	@command -v uv >/dev/null || { echo "uv is missing: pip install uv"; exit 1; }
	grep -v '^torch==' requirements.lock | uv pip compile - --generate-hashes --universal --python-version 3.11 --no-deps \
	  --no-header --no-annotate --quiet --output-file requirements.hashes.lock

environment: cores plain-path $(VENV)/.installed bedtools

# With 0, Snakemake would start jobs all the same.
.PHONY: cores
cores:
	@case "$(CORES)" in all|[1-9]|[1-9][0-9]|[1-9][0-9][0-9]|[1-9][0-9][0-9][0-9]) ;; \
	  *) echo "CORES is '$(CORES)': expected a whole number of at least 1, or all"; exit 1;; esac

.PHONY: plain-path
plain-path:
	@case "$(VENV)" in /*) path="$(VENV)";; *) path="$(CURDIR)/$(VENV)";; esac; \
	case "$$path" in *[[:space:]]*) echo "$$path has blanks, and Snakemake starts jobs only with a Python whose path \
	has none: add VENV=/path/without/blanks, or move the clone"; exit 1;; esac


bedtools:
	@command -v bedtools >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing bedtools"; \
	    { apt-get update -qq && apt-get install -y -qq --no-install-recommends bedtools; } || { \
	      echo "apt-get could not install bedtools: see the lines above, or put the program bedtools on PATH"; exit 1; }; \
	  else \
	    echo "bedtools is missing: install it (Debian, Ubuntu: apt install bedtools; conda: bioconda::bedtools)"; exit 1; \
	  fi; }

demo: environment
	$(RUN)
	@echo "open results/demo/report.html"

yeast: environment
	$(RUN) --configfile config/yeast.yaml
	@echo "open results/yeast/report.html"

# The weights come from the published wheel, which is unpacked and not installed; pip verifies its digest.
SPLICEAI := resources/downloads/spliceai-1.3.1
published: environment $(SPLICEAI)/.unpacked
	$(RUN) --configfile config/spliceai.yaml
	@echo "open results/spliceai/report.html"

$(SPLICEAI)/.unpacked: resources/spliceai.txt | environment
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $< --dest $(SPLICEAI)
	$(BIN)/python -m zipfile --extract $(SPLICEAI)/*.whl $(SPLICEAI)
	touch $@

grammar: environment
	$(RUN) --configfile config/grammar.yaml
	@echo "open results/grammar/report.html"

# Without predictions and tracks of 27 analyses; `make run CONFIG=config/benchmark.yaml` makes these and the report.
benchmark: environment
	$(RUN) --configfile config/benchmark.yaml -- \
	  $(foreach name,methods both either scaled,results/benchmark/comparisons/$(name)/comparison.tsv)
	$(BIN)/python benchmarks/methods.py

# Variables of `make new`: only from the command line, since some shells set NAME. make hands them down by itself.
NEW := NAME GENOME PEAKS MODEL MODULE LENGTH FOLDER
.PHONY: new new-name
new: new-name environment
	@unset $(foreach variable,$(NEW),$(if $(findstring command,$(origin $(variable))),,$(variable))) LINES; \
	PYTHONPATH=scripts:workflow $(BIN)/python -m cislex_workflow.new_config.main

new-name:
	@$(if $(findstring command,$(origin NAME)),:,echo "no name: make new NAME=mine GENOME=genome.fa PEAKS=my.narrowPeak \
	MODEL=fold_0.pt MODULE=my_model.py:build writes config/mine.yaml; all but NAME may be left out"; exit 1)

.PHONY: run cluster inspect estimate resources check
# Snakemake silently ignores a profile that does not exist.
cluster: config
	@test -e "$$PROFILE" || test -e "profiles/$$PROFILE" || { \
	  echo "no profile $$PROFILE: correct the name, or make your site's copy first: cp -r profiles/slurm \"$$PROFILE\""; \
	  exit 1; }
	$(BIN)/snakemake --workflow-profile "$$PROFILE" --configfile "$$CONFIG"

# Without this check, Snakemake ends in a traceback if the config is missing or not UTF-8, and names no line if it is
# not YAML. Whether the file exists is checked without the environment.
.PHONY: config named-config
config: named-config environment
	@PYTHONPATH=workflow $(BIN)/python -m cislex_workflow.config.yaml_files "$$CONFIG"

named-config:
	@test -f "$$CONFIG" || { \
	  echo "no config $${CONFIG:-(CONFIG is empty)}: correct the name, or write one: make new NAME=mine"; \
	  exit 1; }

run: config
	$(RUN) --configfile "$$CONFIG"

inspect: config
	$(RUN) --configfile "$$CONFIG" -- inspect

# GPU="<part of its name>": use the rates of that GPU instead of the local device's. They come from a record in
# benchmarks/results; no GPU record is shipped yet: docs/cluster.md says how to make one.
estimate: config
	$(RUN) --configfile "$$CONFIG" $(if $(GPU),--config "estimate={gpu: \"$$GPU\"}") --forcerun estimate_cost -- estimate

resources: config
	$(RUN) --configfile "$$CONFIG" --quiet rules progress reason host -- compare_resources

# RESULTS=<folder>: a results folder that was copied from elsewhere, with the config that is kept in it. Nothing is
# computed or changed, and genome and models may be gone.
ifdef RESULTS
check: CONFIG = $(RESULTS)/config.yaml
endif
check: config
	$(RUN) --configfile "$$CONFIG" $(if $(RESULTS),--config "results=$$RESULTS") --forcerun verify_results -- check

# Write the tables of config/README.md from the schema.
.PHONY: config-tables
config-tables: environment
	@PYTHONPATH=workflow $(BIN)/python -m cislex_workflow.config.document

# Draw the README's graph of the demo's rules, without redundant arrows (needs graphviz).
.PHONY: rule-graph
rule-graph: environment
	@command -v tred >/dev/null && command -v dot >/dev/null || { \
	  echo "graphviz is missing: install it (Debian, Ubuntu: apt install graphviz)"; exit 1; }
	$(BIN)/snakemake --quiet all --rulegraph dot | tred | sed -E 's/color ?= ?"[0-9][^"]*"/color="#3b6ea5"/; s/penwidth=2/penwidth=1.2/g' \
	  | dot -Tsvg -Gnodesep=0.25 -Granksep=0.22 -Nheight=0.3 -Nmargin=0.12,0.04 -Nfontname=Helvetica -o docs/images/rules.svg

# The site and the notebooks need packages that the workflow does not, in an environment of their own. Kernels of the
# notebooks see the packages of $(VENV) through a .pth file.
DOCS_VENV ?= .venv-docs
DOCS := $(DOCS_VENV)/bin
# Not about this site: a later MkDocs, which is not in the lock.
docs docs-build: export NO_MKDOCS_2_WARNING = 1
$(DOCS_VENV)/.installed: requirements-docs.lock | environment
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-docs.lock
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(DOCS)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/workflow.pth"
	touch $@

# Build the site, in which every warning is an error, and serve it; `docs-build` only builds it, as CI does.
.PHONY: docs docs-build docs-test docs-notebooks docs-gallery docs-results
docs: docs-build
	$(DOCS)/mkdocs serve --strict

docs-build: $(DOCS_VENV)/.installed
	$(DOCS)/mkdocs build --strict
	@echo "open build/site/index.html"

# Run the notebooks that need no run of the workflow, as a reader would.
docs-test: $(DOCS_VENV)/.installed
	$(DOCS)/python -m pytest tests/documents/test_notebooks.py

# The project of the first tutorial, which the notebook on result files and the gallery show.
PROJECT := build/my-project
$(PROJECT)/results/report.html: docs/tutorials/your-model.md docs/tutorials/practice.py | environment
	rm -rf $(PROJECT)
	mkdir -p build
	$(BIN)/python docs/site/tutorial.py > build/tutorial.sh
	cd build && CISLEX="$(CURDIR)" bash -euo pipefail tutorial.sh

# Run all notebooks; the site then shows their output.
docs-notebooks: $(DOCS_VENV)/.installed $(PROJECT)/results/report.html
	RESULTS="$(CURDIR)/$(PROJECT)/results" $(DOCS)/python docs/site/notebooks.py

# Record the runs of the demo and of yeast, with one fold or two, where they are; write the tables of docs/results.md from
# the records, and take the README's picture from the page of yeast.
docs-results: environment
	$(BIN)/python benchmarks/document_results.py \
	  $(foreach name,demo yeast yeast-folds,$(if $(wildcard results/$(name)/report.html),--run results/$(name)))
	$(if $(wildcard results/yeast/report.html),$(BIN)/python docs/site/gallery.py results/yeast/report.html --readme)

docs-gallery: $(PROJECT)/results/report.html
	$(BIN)/python docs/site/gallery.py $(PROJECT)/results/report.html

# What needs neither Snakemake nor minutes.
FAST := not workflow and not slurm and not faults and not determinism and not wheel

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

unit: environment
	$(BIN)/python -m pytest -m "$(FAST)"

# The same, listing the lines that no test runs; takes half as long again.
.PHONY: coverage
coverage: environment
	$(BIN)/python -m pytest -m "$(FAST)" --cov --cov-report=term:skip-covered

integration: environment
	$(BIN)/python -m pytest tests/integration -m workflow

# Starts a private SLURM for the tests; skipped with the reason without root, slurm-wlm or munge.
.PHONY: test-slurm
test-slurm: environment
	$(BIN)/python -m pytest tests/slurm -m slurm

# Four whole runs: the same config again, in other chunks and batches, and with its regions in another order.
.PHONY: test-determinism
test-determinism: environment
	$(BIN)/python -m pytest tests/integration/test_determinism.py

# Every stage on a small disk that is full at many levels, killed at random moments, with damaged inputs and in broken
# surroundings (CONTRIBUTING.md); skipped with the reason where no small disk can be mounted.
.PHONY: faults test-faults
faults: environment
	$(BIN)/python -m pytest tests/faults

test-faults: faults

# The library as others install it: dist/cislex-*.whl.
.PHONY: wheel test-wheel
wheel: environment
	@rm -rf build/lib build/bdist.* dist/cislex-*.whl
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/cislex-*.whl

# The wheel in a new environment, where the README's example must run (downloads 1 GB unless pip has it).
test-wheel: environment
	$(BIN)/python -m pytest tests/test_wheel.py -m wheel

# The report and igv.html in headless Chromium, and with CISLEX_AXE=<path of axe.min.js> its accessibility; skipped without them.
.PHONY: test-browser
test-browser: environment
	$(BIN)/python -m pytest tests/report/test_browser.py tests/exports/test_igv.py

# Two lanes side by side: each test is often one process that waits or computes alone, most of all those of SLURM.
test: lint
	$(MAKE) --no-print-directory -j2 --output-sync=line unit-and-slurm integration

.PHONY: unit-and-slurm
unit-and-slurm: unit
	$(MAKE) --no-print-directory test-slurm
	$(MAKE) --no-print-directory docs-build docs-test

clean:
	rm -rf results .snakemake
