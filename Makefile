# The two commands of a newcomer are `make demo` and `make test`. Each makes the environment first; a second run only looks.
PYTHON ?= $(shell deploy/find-python)
SEED   ?= 1
RATE   ?= 200
FAULTS ?= 20
SECONDS ?= 600

.PHONY: help setup demo test lint bench chaos fuzz pictures lock
.SILENT:

help:
	printf '%s\n' \
	  'make demo    everything on this machine, until Ctrl-C (DEMO_SECONDS=60 RATE=200 SEED=1)' \
	  'make test    the whole suite on a real broker and a real database' \
	  'make lint    ruff and mypy' \
	  'make bench   the measured table, into bench.json' \
	  'make chaos   faults on a running system (FAULTS=20 SEED=1)' \
	  'make fuzz    wire formats against inputs nobody thought of (SECONDS=600 FORMAT=tvan)' \
  'make prove   live == replay, tried on hundreds of random histories (takes long)' \
  'make pictures  every board, dark and light, into pictures/' \
	  'make setup   only the environment' \
	  'make lock    pin requirements.lock anew'

setup:
	$(PYTHON) deploy/bootstrap.py

demo: export IOC_DEMO_STARTED := $(shell date +%s)
demo: setup
	echo "demo: departments, broker, database, connectors, worker and wall; state in $${IOC_STATE_DIR:-.run}" >&2
	exec .venv/bin/ioc demo --rate $(RATE) --seed $(SEED) $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS) --json)

test:
	$(PYTHON) deploy/bootstrap.py --browser
	echo 'test: the whole suite on a real broker and a real database' >&2
	.venv/bin/python -m pytest --ignore=tests/bench --cov --cov-report=term:skip-covered $(ARGS)

lint: setup
	echo 'lint: ruff and mypy' >&2
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: setup
	echo 'bench: the measured table, medians of three; into bench.json' >&2
	.venv/bin/python -m tests.bench

chaos:
	$(PYTHON) deploy/bootstrap.py --browser
	echo 'chaos: $(FAULTS) faults on a running system, seed $(SEED)' >&2
	.venv/bin/python -m tests.chaos.run --faults $(FAULTS) --seed $(SEED)

fuzz: setup
	.venv/bin/uv pip install --python .venv/bin/python --quiet 'atheris==3.0.0'
	echo 'fuzz: $(or $(FORMAT),every format), $(SECONDS) s each; what breaks one is kept in tests/fuzz/corpus' >&2
	.venv/bin/python -m tests.fuzz $(FORMAT) --seconds $(SECONDS)

prove: setup
	echo 'prove: random arrivals, cuts and deaths; a replay must make what live made' >&2
	.venv/bin/python -m pytest tests/services/test_prove.py --hypothesis-profile prove --timeout 0 $(ARGS)

pictures:
	$(PYTHON) deploy/bootstrap.py --browser
	echo 'pictures: every board, dark and light, into pictures/' >&2
	.venv/bin/python -m tests.pictures $(ARGS)

lock: setup
	.venv/bin/uv pip compile pyproject.toml deploy/lock.in --extra dev --extra java --extra node --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock
