# Everything a developer or an administrator who tries this out needs; `make help` lists it.
# Plain make and sh. Nothing is installed outside this checkout but Debian packages for the tests (tools/debian.sh).

VENV = .venv
PYTHON = $(VENV)/bin/python
FRAMES = 1000000
QUERIES = 1000000

.PHONY: help run test unit lint fuzz bench docs clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1	\2/p' Makefile | expand -t 14

run: $(VENV)/.run ## start the service here with its defaults, and say how to connect sendmail and Postfix
	@sh tools/connect.sh
	@exec $(VENV)/bin/twistd -n --pidfile= twistedmilter

test: $(VENV)/.dev ## gates and all tests, with a real Postfix and a real sendmail (installs Debian packages)
	@sh tools/debian.sh test
	@sh tools/as-root.sh $(PYTHON) -m tests.run --gates tests

unit: $(VENV)/.dev ## the tests that need neither root nor an MTA
	@$(PYTHON) -m tests.run --without tests.integration tests

lint: $(VENV)/.dev ## the gates alone: ruff, format, types, docstrings
	@$(PYTHON) -m tests.run --gates

fuzz: $(VENV)/.dev ## a million frames through both sides of the milter protocol, a million DNS queries; most are broken
	@$(PYTHON) -m tests.fuzz_milter $(FRAMES)
	@$(PYTHON) -m tests.fuzz_dns $(QUERIES)

bench: $(VENV)/.bench ## speed and memory against pymilter, rbldnsd and Twisted names, in the same run
	@$(PYTHON) -m benchmarks.milter
	@$(PYTHON) -m benchmarks.policy
	@$(PYTHON) -m benchmarks.dns

docs: $(VENV)/.docs ## the reference of the configuration and of the code, into build/docs
	@sh tools/docs.sh $(VENV)

clean: ## remove what the other targets made, Debian packages excepted
	rm -rf $(VENV) build dist var *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: pyproject.toml setup.py tools/venv.sh
	@sh tools/venv.sh $(VENV) ""
	@touch $@

$(VENV)/.dev: pyproject.toml setup.py tools/venv.sh
	@sh tools/venv.sh $(VENV) dev
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.dev tools/debian.sh
	@sh tools/debian.sh bench
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@sh tools/venv.sh $(VENV) dev,docs
	@touch $@
