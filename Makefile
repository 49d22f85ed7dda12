# Everything that a person or a server types. `make run` and `make test` need nothing before them but Python 3.11
# or newer.
#
#   PYTHON=python3.12          another Python to make .venv from
#   GPU=cpu|vulkan|cuda|rocm   the build of llama-cpp-python; without it the build that is there stays
#   ARGS="..."                 handed on to the app, to pytest or to the benchmarks
#   QT_TEST_PLATFORM=xcb       watch the tests instead of running them without a display

PYTHON ?= python3
GPU ?=
ARGS ?=
QT_TEST_PLATFORM ?= offscreen

VENV_PYTHON := .venv/bin/python
# Asked here because a Python older than 3.7 cannot even read environment.py, which would say the same in a sentence.
CHECK_PYTHON = "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
	echo "Ember: $(PYTHON) is missing or older than 3.11; install Python 3.11 or newer, or name it: PYTHON=..." >&2; \
	exit 1; }
SET_UP = $(CHECK_PYTHON); "$(PYTHON)" packaging/environment.py $(if $(GPU),--gpu "$(GPU)")

.DEFAULT_GOAL := help
.PHONY: help run setup setup-tests test test-gpu torture lint bench screenshots clean desktop-entry remove-desktop-entry

help:
	@echo "make run           start Ember (the first time installs it, which takes some minutes)"
	@echo "make run GPU=cuda  the same with llama.cpp built for a GPU: vulkan, cuda or rocm; cpu goes back"
	@echo "make setup         install only, for the commands without a window"
	@echo "make test          run the whole test suite, without a display"
	@echo "make test-gpu      run the tests marked gpu, on a software GPU where there is no other; in .venv-gpu"
	@echo "make lint          ruff, mypy --strict and import-linter"
	@echo "make bench         measure, and print the ratios that DESIGN asks for"
	@echo "make torture       random work and kill -9 on the real engine; ARGS=\"--minutes 10 --seed 1\""
	@echo "make screenshots   take the pictures of the real window with the real model"
	@echo "make desktop-entry Linux: put Ember into the desktop's menu, and open .ember files by a double click;"
	@echo "                   make remove-desktop-entry takes it away again"
	@echo "make clean         remove .venv and everything else that was made here"

run:
	@$(SET_UP) --window
	@exec $(VENV_PYTHON) -m app $(ARGS)

setup:
	@$(SET_UP)

setup-tests:
	@$(SET_UP) --tests

test: setup-tests
	@QT_QPA_PLATFORM=$(QT_TEST_PLATFORM) exec $(VENV_PYTHON) -m pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

# llama.cpp takes Mesa's software device only where it is named.
test-gpu: export GGML_VK_VISIBLE_DEVICES ?= 0
test-gpu:
	@$(CHECK_PYTHON); "$(PYTHON)" packaging/environment.py --software-gpu
	@QT_QPA_PLATFORM=$(QT_TEST_PLATFORM) exec .venv-gpu/bin/python -m pytest -m gpu tests/gpu $(ARGS)

lint: setup-tests
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy --strict app
	@.venv/bin/lint-imports

torture: setup-tests
	@exec $(VENV_PYTHON) -m tests.torture $(ARGS)

bench: setup-tests
	@QT_QPA_PLATFORM=$(QT_TEST_PLATFORM) exec $(VENV_PYTHON) -m tests.bench $(ARGS)

screenshots: setup-tests
	@QT_QPA_PLATFORM=$(QT_TEST_PLATFORM) exec $(VENV_PYTHON) -m tests.support.screenshots $(ARGS)

desktop-entry: setup
	@"$(PYTHON)" packaging/desktop_entry.py

remove-desktop-entry:
	@$(CHECK_PYTHON); "$(PYTHON)" packaging/desktop_entry.py --remove

clean:
	@rm -rf .venv .venv-gpu build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find app tests packaging -name __pycache__ -type d -prune -exec rm -rf {} +
