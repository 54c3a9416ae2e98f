# make reproduce    run both modes of the post and compare them with it
# make test         run the fast tests (minutes)
# make test-all     run every test
# make lint         check style, types and the direction of imports
# make results      run every experiment and missing study, and write all tables, pictures and pages
# make studies      do the missing runs of the studies
# make bench        measure speed and memory
# make notebook     open the post's notebook in JupyterLab, the others beside it
# make tensorboard  show the runs of `reproduce.py --tensorboard` in TensorBoard
# make colab        pack the notebooks into one file each, in dist/
# make outputs      run the notebooks and keep their outputs
# make failures     kill runs and studies, cut the power, damage files (hours; goes on where it was
#                   stopped; QUICK=1: a minute for each kind)
# make mutants      change the code in one place at a time and run the tests (a day; goes on where it
#                   was stopped; DRAW=300: 300 random places in graph/ and in experiment/)
# make audit        list the licences of the installed packages and their known vulnerabilities
# make traces       write the recorded runs in the post's print format
# make setup        make the environment of the command; setup-lab: with studies, report, notebooks
#                   and TensorBoard; setup-dev: with the tools of development
# make lock         lock newer versions of the dependencies
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Wheels only: installing them runs no code.
PIP := -m pip install --quiet --disable-pip-version-check --only-binary :all:
UV_LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.PHONY: reproduce test test-slow test-all lint results studies bench notebook tensorboard colab outputs \
	failures mutants audit traces setup setup-lab setup-dev lock

reproduce: setup
	$(BIN)/python reproduce.py --mode=manual --resume
	$(BIN)/python reproduce.py --mode=auto --resume
	$(BIN)/python -m experiment.report claims

PYTEST = $(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

test: setup-dev
	$(PYTEST) -m "not slow"

test-slow: setup-dev
	$(PYTEST) -m slow

test-all: test test-slow

lint: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

results: studies
	for product in experiments tables pictures timeline claims readme page; do \
		$(BIN)/python -m experiment.report $$product || exit; done

studies: setup-lab
	for file in presets/studies/*.toml; do $(BIN)/python reproduce.py --study=$$file || exit; done
	$(BIN)/python -m experiment.studies.many_boxes

bench: setup-dev $(VENV)/peers/.ready
	$(BIN)/python -m benchmarks.speed

notebook: setup-lab
	$(BIN)/jupyter lab notebooks/decoupled_rnn.ipynb

tensorboard: setup-lab
	@find results -name '*tfevents*' | grep -q . || \
		echo "No run in results/ has an event file: call $(BIN)/python reproduce.py --tensorboard"
	$(BIN)/tensorboard --logdir results --host localhost

colab: setup
	$(BIN)/python -m experiment.packaging.colab

# Without times, versions, and the controls, which need a kernel.
outputs: setup-lab
	$(BIN)/jupyter nbconvert --to notebook --inplace --execute \
		--ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace \
		--TagRemovePreprocessor.enabled=True \
		--TagRemovePreprocessor.remove_all_outputs_tags=controls \
		--ClearMetadataPreprocessor.enabled=True \
		--ClearMetadataPreprocessor.preserve_cell_metadata_mask=tags \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask=kernelspec notebooks/*.ipynb

# The progress is kept in results/.kills, as long as the code stays the same.
CAMPAIGN = --kills=235 --campaign=results/.kills --inputs=32000 --failures=results/failures.md
ifdef QUICK
CAMPAIGN = --kills=1000 --kill_seconds=60 --failures=/dev/null
endif

failures: setup-dev
	$(PYTEST) tests/command/test_interruptions.py tests/campaigns $(CAMPAIGN)
	$(if $(QUICK),,$(BIN)/python -m experiment.report readme)

mutants: setup-dev
	PYTHONPATH=. $(BIN)/python -m tests.campaigns.mutation.run $(if $(DRAW),--draw=$(DRAW))
	$(BIN)/python -m experiment.report readme

# A package that cannot be looked up counts as a finding.
audit: setup-dev
	$(BIN)/pip-licenses --order=license
	$(BIN)/pip-audit --strict --disable-pip \
		-r requirements.txt -r requirements-lab.txt -r requirements-dev.txt

traces: setup
	$(BIN)/python -m experiment.report logs

setup: $(VENV)/.ready
setup-lab: $(VENV)/.ready-lab
setup-dev: $(VENV)/.ready-dev

# A stamp is written last: a set-up that was cut off starts over.
$(VENV)/.ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
		"TensorFlow 2.21 needs Python 3.11 to 3.13, and this is " + sys.version.split()[0] + \
		": call make with PYTHON=python3.12, for example")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python $(PIP) --require-hashes -r $<
	@touch $@

$(VENV)/.ready-lab: requirements-lab.txt $(VENV)/.ready
	$(BIN)/python $(PIP) --require-hashes -r $<
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/python $(PIP) --require-hashes -r $<
	@touch $@

# For make bench. TORCH_INDEX is the address of PyTorch's wheels for processors, if pip does not find
# them. pip is upgraded because an older one lacks --group.
$(VENV)/peers/.ready: $(VENV)/.ready
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/peers/bin/python $(PIP) --retries 1 \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --group peers
	@touch $@

# Newer versions of everything, for every Python and platform at once, each with its hashes.
lock: setup-dev
	$(UV_LOCK) pyproject.toml --output-file requirements.txt
	$(UV_LOCK) --group lab --constraint requirements.txt --output-file requirements-lab.txt
	$(UV_LOCK) --group dev --constraint requirements.txt \
		--constraint requirements-lab.txt --output-file requirements-dev.txt
