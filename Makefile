# Everything there is to type: `make` lists it.

# The data set: a file of configs/data.
DATA = shapes
# What is compared: a file of configs/suites.
SUITE = default
# The phases to train by: a file of configs/chains.
CHAIN = scheduled_sampling_adversarial
# The run to evaluate or report: empty is the newest.
RUN =
# Anything else that the command takes.
ARGS =
# The interpreter that .venv is made from: empty is uv's choice, or python3.
PYTHON =

python := .venv/bin/python
captioning := $(python) -m captioning
pytest := $(python) -m pytest -n auto --maxprocesses 4 --dist worksteal
train = $(captioning) train --config configs/data/$(DATA).yaml --config configs/$(1).yaml --evaluate test $(ARGS)
chain = $(captioning) chain configs/chains/$(1).yaml --data $(DATA) --evaluate test $(ARGS)

help: ## this list
	@echo "make TARGET [DATA=$(DATA)] [SUITE=$(SUITE)] [CHAIN=a chain] [RUN=the newest] [ARGS='anything the command takes']"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

setup: .venv/ready ## make .venv from requirements.lock (with PYTHON=python3.12, of that Python)

features: .venv/ready ## encode the images of DATA by its frozen encoder, once; goes on where it stopped
	$(captioning) features --config configs/data/$(DATA).yaml $(ARGS)

train-tf: .venv/ready ## train by teacher forcing
	$(call train,teacher_forcing)

train-ss: .venv/ready ## train by scheduled sampling
	$(call train,scheduled_sampling)

train-adv: .venv/ready ## train by teacher forcing, then adversarially
	$(call chain,adversarial)

train-gumbel: .venv/ready ## the same through relaxed words (Gumbel-softmax)
	$(call chain,gumbel)

train-scst: .venv/ready ## train by teacher forcing, then self-critically (CIDEr-D)
	$(call chain,self_critical)

train-chain: .venv/ready ## train by the phases of configs/chains/CHAIN.yaml, one after another
	$(call chain,$(CHAIN))

compare: .venv/ready ## train and evaluate every row of a suite (SUITE=default); goes on where it stopped
	@$(captioning) compare configs/suites/$(SUITE).yaml --data $(DATA) $(ARGS)

eval: .venv/ready ## score a run by the COCO metrics
	$(captioning) evaluate $(RUN) $(ARGS)

report: .venv/ready ## draw a run's curves and its page of images with captions
	$(captioning) report $(RUN) $(ARGS)

lab: .venv/ready ## compute every claim of the paper where the truth is known
	$(captioning) lab $(ARGS)

test: .venv/ready ## run the fast tests, on up to four cores
	$(pytest) -m "not slow" $(ARGS)

lint: .venv/ready ## check format, style, types and the direction of imports
	$(python) -m ruff format --check
	$(python) -m ruff check
	$(python) -m mypy
	$(python) .venv/bin/lint-imports --no-logo

slow: .venv/ready ## run the slow tests
	$(pytest) -m slow $(ARGS)

check: lint test slow ## lint, then run every test

bench: .venv/ready ## run the benchmarks
	@for file in tests/benchmarks/bench_*.py; do echo "# $$file"; $(python) "$$file" $(ARGS) || exit; done

# The CUDA libraries are left out: torch's own wheel pins them, and its CPU builds need none.
lock: .venv/ready ## renew requirements.lock (with ARGS=--upgrade, to the newest versions)
	$(python) -m uv pip compile pyproject.toml --group dev --universal --python-version 3.10 --quiet \
		--no-annotate --custom-compile-command "make lock" --output-file requirements.lock $(ARGS)
	sed -i.whole -E '/^(cuda|nvidia|triton)/d' requirements.lock && rm requirements.lock.whole

clean: ## remove .venv and the caches; data and runs stay
	rm -rf .venv .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help setup features train-tf train-ss train-adv train-gumbel train-scst train-chain compare eval report lab test slow lint check bench lock clean

uv := $(shell command -v uv 2>/dev/null)
ifneq ($(uv),)
create = UV_VENV_CLEAR=1 $(uv) venv $(PYTHON:%=--python %)
install = $(uv) pip install --python $(python)
else
interpreter = $(or $(PYTHON),python3)
usable = $(interpreter) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
unusable = $(interpreter) ($$($(interpreter) --version 2>&1)) cannot make .venv: expected is Python 3.10 or newer with its \
	venv module (apt install python3-venv); install it, or uv, or name another by PYTHON=python3.12
create = $(usable) || { echo "$(unusable)" >&2; exit 1; }; $(interpreter) -m venv --clear
install = $(python) -m pip --disable-pip-version-check install
endif

# Each stamp comes last, so that a set-up which broke off is made anew, from nothing.
.venv/ready: .venv/locked pyproject.toml
	$(install) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/locked: requirements.lock
	@$(create) .venv
	$(install) --requirement requirements.lock
	@touch $@
