# `make demo` and `make test` work on a fresh machine: both set up .venv first. Python 3.10 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHARE := $(VENV)/share
INDEX := $(SHARE)/ament_index/resource_index/packages
STAMP := $(VENV)/.setup
JAZZY := .venv-jazzy
EXECUTABLES := segmentation_node camera_player evaluation_node

# A sourced ROS distribution has its own rclpy, built for another Python; keep it out of .venv.
ifdef ROS_DISTRO
unexport ROS_DISTRO PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH
endif

# glibc, OpenMP and Fast DDS read their settings before Python starts (bisenet_ros/system/environment.py).
WITH_ENVIRONMENT := $(BIN)/python -c 'import os, sys; \
	from bisenet_ros.system.environment import process_environment; \
	os.execvpe(sys.argv[1], sys.argv[1:], process_environment())'

# Two parallel runs of about the same length: the node tests mostly wait for each other, and the scripts for
# the processes they start; the rest computes.
NODES := test/ros test/cli test/scripts
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test mutants test-nodes test-rest test-jazzy gpu clean

help:
	@echo "make setup        create the virtual environment in $(VENV)"
	@echo "make demo         play the sample drive through the node; results in out/demo/"
	@echo "make test         run all tests, ruff, mypy and the import contracts"
	@echo "make test-jazzy   run the node's tests against ROS 2 Jazzy, in $(JAZZY)"
	@echo "make mutants      plant small mistakes and see which ones no test notices; takes hours"
	@echo "make gpu          check and measure the GPU of this machine, in its own Python"
	@echo "make clean        remove the environment, build products and caches"

setup: $(STAMP)

demo: $(STAMP)
	$(WITH_ENVIRONMENT) $(BIN)/python -m bisenet_ros demo

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy bisenet_ros
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory -j2 --output-sync test-nodes test-rest

# Spinning threads would take CPU time from the nodes under test.
test-nodes test-rest: export OMP_WAIT_POLICY := PASSIVE

test-nodes: $(STAMP)
	$(PYTEST) $(NODES)

test-rest: $(STAMP)
	nice -n 19 $(PYTEST) -o cache_dir=.pytest_cache/rest $(NODES:%=--ignore=%)

test-jazzy: $(JAZZY)/.setup
	$(JAZZY)/bin/python -m pytest test/ros test/cli

# MODULES=statistics,losses runs those alone, MUTANTS="--sample 25 --minutes 20" some of each file;
# out/mutants keeps what is known, and the next run goes on.
mutants: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt \
		--no-build-isolation -e '.[mutants]'
	nice -n 19 $(BIN)/python scripts/mutants.py $(MODULES:%=--modules %) $(MUTANTS)

# The machine's own Python, which has the torch that fits its GPU: GPU="--minutes 9 --data PATH".
gpu:
	$(PYTHON) scripts/gpu_check.py $(GPU)

clean:
	rm -rf $(VENV) $(JAZZY) build install log *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "error: $(PYTHON) was not found; install Python 3.10 or newer, or pass PYTHON=PATH" >&2; \
		exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "error: $(PYTHON) is `$(PYTHON) --version 2>&1`; expected 3.10 or newer, pass PYTHON=PATH" >&2; \
		exit 2; }
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "error: $(PYTHON) cannot create $(VENV); install its venv module (python3-venv)" >&2; \
		exit 2; }

# The stamp comes last, so an interrupted setup is resumed. The links mirror what colcon would
# install: with AMENT_PREFIX_PATH=$(VENV), `ros2 run` and `ros2 launch` find the package as in a
# workspace. `ros2 launch` does not follow links to folders, hence a real launch/ folder.
$(STAMP): constraints.txt setup.py setup.cfg Makefile | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt setuptools
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt \
		--no-build-isolation -e '.[node,ros,tools,train,test,onnx,openvino,int8,huggingface]'
	mkdir -p $(VENV)/lib/bisenet_ros $(SHARE)/bisenet_ros/launch $(INDEX)
	ln -sf $(EXECUTABLES:%=../../bin/%) $(VENV)/lib/bisenet_ros/
	ln -sf $(addprefix ../../../,package.xml config weights) $(SHARE)/bisenet_ros/
	ln -sf $(addprefix ../../../../,$(wildcard launch/*.py)) $(SHARE)/bisenet_ros/launch/
	ln -sf ../../../../../resource/bisenet_ros $(INDEX)/
	touch $@

# The package itself is not installed here: the tests use the checkout.
$(JAZZY)/.setup: constraints.txt constraints-jazzy.txt setup.py Makefile
	test -x $(JAZZY)/bin/python || $(PYTHON) -m venv $(JAZZY)
	grep -v '^ros-' constraints.txt > $(JAZZY)/constraints.txt
	cat constraints-jazzy.txt >> $(JAZZY)/constraints.txt
	$(JAZZY)/bin/python -m pip install --disable-pip-version-check \
		-c $(JAZZY)/constraints.txt setuptools
	$(JAZZY)/bin/python -m pip install --disable-pip-version-check --no-build-isolation \
		-c $(JAZZY)/constraints.txt -e '.[node,ros,tools,test]'
	touch $@
