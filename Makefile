# Needs Python >= 3.11, make and a package index. Each environment is made once and kept: a stamp
# inside it says what was installed, and is older than pyproject.toml or constraints.txt only when
# those changed. ARGS="..." is handed on by every verb that runs a command.
PYTHON ?=
ARGS ?=
WORKERS ?= 2
CANDIDATES := python3.13 python3.12 python3.11 python3.14 python3 python

extras-demo := data,report
extras-test := dev
extras-docs := docs
extras-bench := bench

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint bench docs reproduce clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

demo: .venv/.installed-demo ## fit models to real data and write a report (about 3 minutes)
	@.venv/bin/neurode demo $(ARGS)

reproduce: .venv/.installed-demo ## run an experiment of the paper: make reproduce ARGS="NAME --quick"
	@.venv/bin/neurode reproduce $(or $(ARGS),--list)

test: .venv/.installed-test ## the whole suite
	@.venv/bin/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: .venv/.installed-test ## style, formatting, types, and the import rule
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports --no-logo --cache-dir .cache/imports

docs: .venv/.installed-docs ## the documentation, into site/
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet --strict && echo "open site/index.html"

bench: .venv-bench/.installed-bench ## neurode against its peers, in an environment of its own
	@.venv-bench/bin/python -m benchmarks.run $(ARGS)

clean: ## remove environments, caches and built documentation; never your runs
	rm -rf .venv .venv-bench .cache .hypothesis .pytest_cache .ruff_cache build dist site

# --- environments ---------------------------------------------------------------------------------
.venv/.installed-test .venv/.installed-docs: .venv/.installed-demo

.venv/.installed-%: pyproject.toml constraints.txt | .venv/bin/python
	$(call install,.venv,$*)

.venv-bench/.installed-%: pyproject.toml constraints.txt | .venv-bench/bin/python
	$(call install,.venv-bench,$*)

# An environment whose making was interrupted may lack pip: ensurepip mends it.
define install
@echo "installing what 'make $(2)' needs into $(1) (once; a minute or two with the downloads) ..."
@$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(1)/bin/python -m ensurepip >/dev/null
@$(1)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[$(extras-$(2))]'
@touch $@
endef

.venv/bin/python .venv-bench/bin/python:
	@bare=; for python in $(or $(PYTHON),$(CANDIDATES)); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "making $(@:/bin/python=) with $$("$$python" --version)"; exec "$$python" -m venv $(@:/bin/python=); \
	  fi; \
	  bare=$$python; \
	done; \
	if [ -n "$$bare" ]; then \
	  echo "$$bare cannot make environments: install its venv module (Debian, Ubuntu: apt install python3-venv)"; \
	else \
	  echo "no Python >= 3.11 among: $(or $(PYTHON),$(CANDIDATES)); install one, or name it: make PYTHON=/path/to/python"; \
	fi >&2; exit 1
