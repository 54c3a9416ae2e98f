# make reproduce    run both modes of the post and compare them with it
# make results      run every experiment, do what is missing of the studies, and bring all tables,
#                   figures and the page up to date
# make studies      do what is missing of the studies, over many seeds (from nothing: an hour)
# make bench        measure speed and memory
# make test         run every test
# make faults       kill runs and studies, cut the power, damage files, fill disks: is anything lost?
#                   (hours; it goes on where it was stopped; QUICK=1: a minute for each kind)
# make mutants      change the code in one place at a time: do the tests notice? (a day; it goes on
#                   where it was stopped; DRAW=300: 300 places at random in graph/ and experiment/)
# make audit        list the licences of what is installed, and look up what is known to be unsafe
# make tensorboard  show the runs of `reproduce.py --tensorboard` in TensorBoard
# make notebook     open the post's notebook in JupyterLab, the other one beside it
# make colab        pack the notebook with all that it needs into one file, in dist/
# make outputs      run the notebooks and keep what they show in them
# make lint         check style, types and which way imports run
# make setup        make the environment, nothing else
# make traces       render the recorded runs in the post's format
# make lock         lock newer versions of the dependencies
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Wheels only, so that nothing is run to install it.
PIP := -m pip install --quiet --disable-pip-version-check --only-binary :all:
UV_LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.PHONY: reproduce results studies bench test faults mutants audit tensorboard notebook colab outputs lint setup setup-look setup-dev traces lock

reproduce: setup
	$(BIN)/python reproduce.py --mode=manual --resume
	$(BIN)/python reproduce.py --mode=auto --resume
	$(BIN)/python -m experiment.report.claims results

test: setup-dev
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

# How far the kills are is known in results/.kills, as long as the code stays the same.
FAULTS = --kills=235 --campaign=results/.kills --inputs=32000 --faults=results/faults.md
ifdef QUICK
FAULTS = --kills=1000 --kill_seconds=60 --faults=/dev/null
endif

faults: setup-dev
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal \
		tests/test_kills.py tests/test_nothing_lost.py tests/test_power.py $(FAULTS)
	$(if $(QUICK),,$(BIN)/python -m experiment.report.readme)

mutants: setup-dev
	PYTHONPATH=. $(BIN)/python tests/mutants.py $(if $(DRAW),--draw=$(DRAW))
	$(BIN)/python -m experiment.report.readme

# A package of which nothing can be looked up counts as a finding.
audit: setup-dev
	$(BIN)/pip-licenses --order=license
	$(BIN)/pip-audit --strict --disable-pip \
		-r requirements.txt -r requirements-look.txt -r requirements-dev.txt

tensorboard: setup-look
	@find results -name '*tfevents*' -not -path 'results/tensorboard/*' | grep -q . || \
		echo "No run in results/ has anything to show yet: call $(BIN)/python reproduce.py --tensorboard"
	@$(BIN)/python -m experiment.report.layout
	$(BIN)/tensorboard --logdir results --host localhost

notebook: setup-look
	$(BIN)/jupyter lab notebooks/decoupled_rnn.ipynb

colab: setup
	$(BIN)/python -m experiment.report.colab

# Without what differs from run to run: times, versions, and the controls, which need a kernel.
outputs: setup-look
	$(BIN)/jupyter nbconvert --to notebook --inplace --execute \
		--ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace \
		--TagRemovePreprocessor.enabled=True \
		--TagRemovePreprocessor.remove_all_outputs_tags=controls \
		--ClearMetadataPreprocessor.enabled=True \
		--ClearMetadataPreprocessor.preserve_cell_metadata_mask=tags \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask=kernelspec notebooks/*.ipynb

lint: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev $(VENV)/peers/.ready
	$(BIN)/python -m benchmarks.speed

traces: setup
	$(BIN)/python -m experiment.report.logs

studies: setup
	for file in presets/studies/*.toml; do $(BIN)/python reproduce.py --study=$$file || exit; done

results: studies
	$(BIN)/python -m experiment.report.experiments
	$(BIN)/python -m experiment.report.tables
	$(BIN)/python -m experiment.report.pictures
	$(BIN)/python -m experiment.report.timeline
	$(BIN)/python -m experiment.report.diagram
	$(BIN)/python -m experiment.report.claims results
	$(BIN)/python -m experiment.report.readme
	$(BIN)/python -m experiment.report.page

setup: $(VENV)/.ready
setup-look: $(VENV)/.ready-look
setup-dev: $(VENV)/.ready-dev

# The stamps are written last, so that a set-up that was cut off starts over.
$(VENV)/.ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
		"TensorFlow 2.21 needs Python 3.11 to 3.13, and this is " + sys.version.split()[0] + \
		": call make with PYTHON=python3.12, for example")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python $(PIP) --require-hashes -r $<
	@touch $@

$(VENV)/.ready-look: requirements-look.txt $(VENV)/.ready
	$(BIN)/python $(PIP) --require-hashes -r $<
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/python $(PIP) --require-hashes -r $<
	@touch $@

# For make bench; TORCH_INDEX is the address of PyTorch's wheels for processors, where pip is not set
# up to find them. An older pip knows nothing of groups.
$(VENV)/peers/.ready: $(VENV)/.ready
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/peers/bin/python $(PIP) --retries 1 \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --group peers
	@touch $@

# Newer versions of everything, for every Python and platform at once, each with its hashes.
lock: setup-dev
	$(UV_LOCK) pyproject.toml --output-file requirements.txt
	$(UV_LOCK) --group look --constraint requirements.txt --output-file requirements-look.txt
	$(UV_LOCK) --group dev --constraint requirements.txt \
		--constraint requirements-look.txt --output-file requirements-dev.txt
