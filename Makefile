# make install | demo | test | lint | docs | bench
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help install demo test lint docs bench

PYTHON ?=
# torch comes first, so that nothing later chooses another build of it. On Linux the ordinary
# index gives the CUDA build; for the smaller CPU build:
#   make install TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
BIN := .venv/bin
DISPLAYED := .ci/with_display.sh
# Tests stay out of the user's napari settings, and a leaked widget fails its test. Each core has a
# worker (see tests/conftest.py), so each of these one thread: more would wait for each other.
TEST_ENV := NAPARI_STRICT_QT=raise QT_API=pyqt6 PYTEST_QT_API=pyqt6
THREADS := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}
# What tests write lies in memory where there are 8 GB for it: each of a thousand files is flushed,
# which took a disk 4 ms, and the whole suite twice the time where others wrote to it as well.
IN_MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 8e6 {print "-p /dev/shm"}')

help:
	@echo "make install  create .venv with the plugin, a Qt binding and the test tools (about 2.5 GB)"
	@echo "make demo     simulate, train, analyse and open napari on the result"
	@echo "make test     run the tests (PYTEST_ARGS='-m \"not slow\"' for the quick ones)"
	@echo "make lint     ruff, mypy, import-linter, npe2, budgets"
	@echo "make docs     build the documentation into site/"
	@echo "make bench    run the benchmarks"

install: .venv/.installed
	@$(DISPLAYED) --check || true

# A stamp, so that it is done once for each state of pyproject.toml.
.venv/.installed: pyproject.toml
	@python=; \
	for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "Python 3.11 or newer is needed, and none of these is:" \
	        "$(or $(PYTHON),python3 ($$(python3 --version 2>&1)) python3.13 python3.12 python3.11)." >&2; \
	    echo "Install it (python.org, conda, apt-get install python3.11 python3.11-venv)" \
	        "and run: make install PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "$$("$$python" --version) lacks the venv module." >&2; \
	    echo "Install it (Debian, Ubuntu: sudo apt-get install python3-venv)." >&2; \
	    exit 1; \
	fi; \
	[ -x $(BIN)/python ] || "$$python" -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(TORCH)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable ".[qt,test]"
	@touch $@

# Further extras on top: .venv/.installed-dev, .venv/.installed-docs.
.venv/.installed-%: .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable ".[$*]"
	@touch $@

demo: install
	@if [ "$$(uname)" = Linux ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
	    echo "No display: the window is drawn into demo-output/window.png instead."; \
	    $(DISPLAYED) $(BIN)/napari-tomodrgn demo --out demo-output \
	        --screenshot demo-output/window.png && \
	    echo "Window: $(CURDIR)/demo-output/window.png"; \
	else \
	    $(BIN)/napari-tomodrgn demo --out demo-output; \
	fi

test: install
	@folder=$$(mktemp -d $(IN_MEMORY)); trap 'rm -rf "$$folder"' EXIT; chmod 755 "$$folder"; \
	$(if $(IN_MEMORY),TMPDIR="$$folder") NAPARI_CONFIG="$$folder/settings.yaml" \
	$(TEST_ENV) $(THREADS) \
	    $(DISPLAYED) $(BIN)/python -m pytest -n auto --dist loadgroup $(PYTEST_ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-tomodrgn
	$(BIN)/python tools/census.py --check
	$(BIN)/python tools/files_page.py --check

docs: .venv/.installed-docs
	$(BIN)/mkdocs build --strict --config-file docs/mkdocs/mkdocs.yml

bench: install
	$(DISPLAYED) $(BIN)/python benchmarks/run.py $(BENCH_ARGS)
