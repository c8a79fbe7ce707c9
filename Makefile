# `make test` and `make demo` need Python, git and make; they set up the rest in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: test field foreign demo check mutants bench chaos chromium pictures clean

# On two CPUs at once: each process has workers, temporary files and a mark of its own.
test: $(VENV)/test.done
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/field $(PYTEST_ARGS)

# Programs, notebooks and test modules as users write and run them.
field: $(VENV)/test.done
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/field $(PYTEST_ARGS)

foreign: $(VENV)/test.done
	$(BIN)/python tests/foreign/cpython.py $(FOREIGN_ARGS)

demo: $(VENV)/demo.done
	$(BIN)/python examples/analyse_sources.py

check: $(VENV)/check.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Whether a pure test fails for each small change of the core: some minutes. MUTANTS_ARGS names some
# of them, as "enact_pool._core.blame.*".
mutants: $(VENV)/mutants.done
	$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

bench: $(VENV)/bench.done
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

chaos: $(VENV)/chaos.done
	$(BIN)/python -m benchmarks.chaos $(CHAOS_ARGS)

# In which tests look at timelines; without one they are skipped. As root, on Debian and its kin.
chromium:
	command -v chromium || { apt-get update && apt-get install --yes --no-install-recommends chromium; }

# Those of the documentation, anew: they need a Chromium.
pictures: $(VENV)/test.done
	$(BIN)/python docs/pictures.py

# What is installed is told by a file, made anew when setup.cfg changes.
$(VENV)/demo.done: EXTRAS :=
$(VENV)/test.done: EXTRAS := [test]
$(VENV)/check.done: EXTRAS := [check,test,bench]
$(VENV)/mutants.done: EXTRAS := [mutants,test]
$(VENV)/bench.done: EXTRAS := [bench]
$(VENV)/chaos.done: EXTRAS :=

$(VENV)/%.done: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".$(EXTRAS)"
	touch $@

clean:
	rm -rf $(VENV) mutants build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
