# make results   set up, run the whole study, end with results/figures and results/summary.json
# make test      lint, types, tests and the small study from end to end
# make help      the rest

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CORES ?= all
CONFIGFILES ?=
VIDEOS ?=
UV_VERSION := 0.13.8
VENV := .venv
# Compiled once here, or every job would compile what it imports where Python may not write bytecode.
INSTALL := $(VENV)/bin/uv pip install --compile-bytecode --python $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup setup-dev check status demo-own results sweep v1t-long vist-long dina-long report movies lint test \
	test-faults test-cluster test-containers bench image docs docs-config lock clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.installed ## create .venv and install the locked environment

setup-dev: $(VENV)/.installed-dev ## the same with what lint and tests need

results: setup ## run the study (CORES=all)
	snakemake --cores $(CORES)

check: setup ## look at every input before any work (CONFIGFILES=mine.yaml)
	@python -m workflow_scripts.check_inputs --configfiles $(CONFIGFILES)

status: setup ## what of the study is done, stale and missing
	@python -m workflow_scripts.workflow.status

demo-own: setup ## a short study of your own videos, in own/ (VIDEOS=folder; minutes)
	@[ -d "$(VIDEOS)" ] || { echo "error: VIDEOS: no folder '$(VIDEOS)';" \
	    "name yours: make demo-own VIDEOS=/path/to/videos" >&2; exit 1; }
	@python -m workflow_scripts.check_inputs --configfiles profiles/own/study.yaml \
	    --videos "$$(realpath "$(VIDEOS)")"
	snakemake --profile profiles/own --cores $(CORES) --directory own \
	    --config "videos={source: \"$$(realpath "$(VIDEOS)")\"}"

dina-long: setup ## all variants of DINA, controls too (half an hour)
	snakemake --cores $(CORES) dina_long

movies: setup ## films of maps that form in training and of sheets that respond (minutes)
	snakemake --cores $(CORES) movies

sweep: setup ## the trade-off: spatial weights, ablations and seeds, each a job (hours)
	snakemake --cores $(CORES) sweep

v1t-long: setup ## train the encoders of V1 until they stop, with every ablation (about an hour)
	snakemake --profile profiles/v1t_long --cores $(CORES) -- encoders

report: results ## the figures and their captions in one HTML file
	snakemake --report results/report.html

lint: setup-dev ## format, lint, import contracts and types
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile rules
	snakemake --lint
	lint-imports
	pyright

test: lint ## the quick tier: lint, tests, the small study from end to end
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadfile

test-faults: setup-dev ## tests that kill jobs, break files and disks, and repeat the small study
	pytest -m faults

vist-long: setup ## all studies of the retina: ablations, priors, transfer, population size (over an hour)
	snakemake --cores $(CORES) vist_long

test-cluster: setup-dev ## the small study through a real SLURM on this machine (root; slurm-wlm, munge)
	pytest -m cluster

test-containers: setup-dev ## the small study inside an image (root; debootstrap, podman)
	pytest -m containers

bench: $(VENV)/.installed-bench ## measure ours beside its peers, write docs/benchmarks.md (a quarter of an hour)
	python -m benchmarks

image: ## build envs/image.sif, or image.tar for it, with podman, docker or apptainer (BASE=...)
	envs/build_image.sh

docs: setup-dev ## the documentation as a site that opens offline, site/index.html
	mkdocs build --strict --quiet

docs-config: setup ## write docs/config.md and resources/templates/README.md from the schemas
	python -m workflow_scripts.workflow.document_config

lock: setup-dev ## resolve envs/*.in into hashed envs/*.txt
	cd envs && for set in requirements requirements-dev requirements-bench; do \
	    uv pip compile --quiet --no-header --generate-hashes --python-version 3.11 \
	        --output-file $$set.txt $$set.in; \
	done

clean: ## delete the results (training states too); the environment stays
	rm -rf results .snakemake

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	    echo "error: Python 3.11 is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1):" \
	         "name one with make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
	    echo "error: $(PYTHON) lacks venv or ensurepip:" \
	         "install them (Debian, Ubuntu: apt install python3.11-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet uv==$(UV_VERSION)

$(VENV)/.installed: envs/requirements.txt pyproject.toml | $(VENV)/bin/uv
	$(INSTALL) --require-hashes -r envs/requirements.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: envs/requirements-dev.txt $(VENV)/.installed
	$(INSTALL) --require-hashes -r envs/requirements-dev.txt
	touch $@

$(VENV)/.installed-bench: envs/requirements-bench.txt $(VENV)/.installed-dev
	$(INSTALL) --require-hashes -r envs/requirements-bench.txt
	touch $@
