# Everything sets itself up: a virtual environment in .venv, and, as root on Debian, the packages
# that boot guests. `make help` lists what there is.

# Debian's own interpreter, since libvirt's binding is a Debian package.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
VENV := .venv
BIN := $(VENV)/bin
APT := python3-venv python3-libvirt qemu-system-x86 qemu-utils mmdebstrap \
       libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients \
       qemu-guest-agent e2fsprogs openssh-client strace

.PHONY: help demo test test-all vm images lint format bench wheel clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## the agent in a scratch guest, in a second; VM=1: in a real guest
ifdef VM
	@$(MAKE) --no-print-directory $(VENV)/.system
	@$(BIN)/python tests/demo.py
else
	@$(PYTHON) tests/demo.py
endif

test: $(VENV)/.system ## all tests but the full matrix
	$(BIN)/pytest -m "not heavy"

test-all: $(VENV)/.system ## the full matrix, too
	$(BIN)/pytest

vm: $(VENV)/.system ## boot a guest with the agent and say how to talk to it; RELEASE=trixie
	$(BIN)/python tests/vm/guest.py --release $(or $(RELEASE),bookworm)

images: $(VENV)/.system ## make the guests' disk images, once
	$(BIN)/python tests/vm/images.py

bench: $(VENV)/.system ## measure side by side with qemu-ga, and rewrite docs/performance.md
	$(BIN)/python bench/run.py

lint: $(VENV)/.lint ## ruff, mypy --strict, shellcheck
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	shellcheck .ci/run

format: $(VENV)/.lint ## let ruff put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(VENV)/.ready ## a wheel in dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what was made here; guests' images stay in the cache
	rm -rf $(VENV) build dist agent/*.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory apt
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.ready
	$(BIN)/pip install --quiet --editable '.[lint]'
	@touch $@

# Without root the tests that boot guests are skipped, by name and with the reason.
$(VENV)/.system: $(VENV)/.ready
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory apt; \
	else echo "not root: no packages installed, tests that boot guests will be skipped"; fi
	@touch $@

.PHONY: apt
apt:
	@dpkg-query -W $(APT) >/dev/null 2>&1 || { apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(APT) >/dev/null; }
