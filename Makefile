# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo install docs lint format test gate baselines test-slow campaigns benchmark clean

demo: .venv/installed  ## install, train every method on drawn scenes, show the leaderboard
	$(BIN)/sobench run suites/smoke.yaml

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

docs: .venv/installed  ## write the reference of all keys into docs/suite.md
	$(BIN)/python -m sobench.report.keys docs/suite.md

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint
	$(BIN)/pytest -n 2
	$(MAKE) gate

gate: .venv/installed-dev  ## train all methods for two minutes; fail if one is worse than recorded
	rm -rf build/gate
	$(BIN)/sobench check suites/gate.yaml --results build/gate

baselines: .venv/installed-dev  ## record what gate and smoke are held to, anew: half an hour
	rm -rf build/baselines
	$(BIN)/sobench check suites/gate.yaml --record --seeds 0,1,2,3,4 --results build/baselines
	$(BIN)/sobench check suites/smoke.yaml --record --seeds 0,1,2 --results build/baselines

test-slow: .venv/installed-dev  ## methods must overfit, killed runs must resume: minutes
	$(BIN)/pytest -m slow -n 2

campaigns: .venv/installed-dev  ## kills, faults, harm and nonsense, counted: 20 minutes
	$(BIN)/python -m tests.campaigns

benchmark: .venv/installed-dev  ## steps of all methods beside torchvision's, cost of checks
	$(BIN)/python -m tests.benchmarks.training_step
	$(BIN)/python -m tests.benchmarks.training_step --head faster_rcnn --methods fpn --rounds 6
	$(BIN)/python -m tests.benchmarks.cache_check

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
