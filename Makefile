# Every target sets up what it needs by itself; nothing has to be installed first but Python and make.
PYTHON ?= python3
# Each Python has an environment of its own: make test PYTHON=python3.13
ifeq ($(PYTHON),python3)
VENV   ?= .venv
else
VENV   ?= .venv-$(notdir $(PYTHON))
endif
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEMO   := $(VENV)/.demo-ready
T      ?= tests
# Test processes side by side. Two a core: tests often wait, for processes, disks and timers.
N      ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
	  while IFS='|' read -r name text; do printf '  %-23s %s\n' "$$name" "$$text"; done

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Toril needs Python 3.11 or newer; $(PYTHON) is older, or not there. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

# The demo needs the package only, so that a first look does not wait for test tools.
$(DEMO): $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(READY): $(DEMO)
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

.PHONY: setup
setup: $(READY) ## virtual environment, editable install, all extras and test tools

demo: SYSTEM ?= content_platform
.PHONY: demo
demo: $(DEMO) ## photographs through the example content platform; SYSTEM=chat for another, FOLDER=… for your own
ifdef FOLDER
	@$(BIN)/toril demo "$(FOLDER)"
else
	@[ -f "examples/$(SYSTEM)/__main__.py" ] || { echo "SYSTEM=$(SYSTEM): there is no examples/$(SYSTEM)"; exit 2; }
	@$(BIN)/python -m examples.$(SYSTEM) $(if $(filter marketplace,$(SYSTEM)),demo)
endif

.PHONY: worker
worker: $(DEMO) ## the worker of an example system alone: SYSTEM=chat
	@[ -f "examples/$(SYSTEM)/__main__.py" ] || { echo "SYSTEM=$(SYSTEM): there is no examples/$(SYSTEM)"; exit 2; }
	@$(BIN)/toril worker examples.$(SYSTEM) $(ARGS)

.PHONY: workers-dev
workers-dev: $(DEMO) ## a worker of the example marketplace that restarts when a file changes
	@$(BIN)/toril worker examples.marketplace --reload -c 39

.PHONY: workers-prod
workers-prod: $(DEMO) ## the same for production; PROCESSES=4
	@TORIL_ENV=production $(BIN)/toril worker examples.marketplace --processes $(or $(PROCESSES),2) -c 39

.PHONY: workers-start
workers-start: $(DEMO) ## a worker of the example marketplace
	@$(BIN)/toril worker examples.marketplace -c 39

.PHONY: test-jobs
test-jobs: $(READY) ## the tasks of the marketplace, against memory and real services
	$(BIN)/python -m pytest tests/library tests/examples/marketplace

.PHONY: worker-queue
worker-queue: $(DEMO) ## the worker of the example saas_api alone
	@$(BIN)/toril worker examples.saas_api

# Without compiled files each program that a test starts compiles all that it imports.
test: export PYTHONDONTWRITEBYTECODE :=
.PHONY: test
test: $(READY) ## everything that has to hold before a change lands; T=tests/engine for a part
	$(BIN)/python -m pytest -n $(N) --dist loadfile --no-loadscope-reorder $(T)

.PHONY: quick
quick: $(READY) ## fundamentals and engine on SQLite in memory, under 10 s
	$(BIN)/python -m pytest -q tests/core tests/fundamentals tests/engine --ignore tests/engine/runners

.PHONY: conformance
conformance: $(READY) ## every backend against the contract
	$(BIN)/python -m pytest tests/conformance

.PHONY: valkey
valkey: $(READY) ## all that speaks to a Redis server, on Valkey
	TORIL_TEST_SERVER=valkey $(BIN)/python -m pytest tests/conformance tests/backends/redis \
	  tests/faults/test_redis.py tests/interop tests/cli/test_doctor.py tests/cli/test_migrate.py

.PHONY: fuzz-web
fuzz-web: $(READY) ## the REST interface on both stores by schemathesis, the long form
	TORIL_WEB_EXAMPLES=60 $(BIN)/python -m pytest tests/web/test_openapi.py

.PHONY: faults
faults: $(READY) ## kill -9 storms, full disks, corrupt files: the long form
	TORIL_FAULTS=full $(BIN)/python -m pytest tests/faults

.PHONY: faults-fallback
faults-fallback: $(READY) ## outages of Redis beside a fallback store, 20 rounds a kind; ARGS="killed paused --rounds 3"
	$(BIN)/python -m tests.faults.fallback_rounds $(ARGS)

.PHONY: fmt
fmt: $(READY) ## format and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

.PHONY: lint
lint: $(READY) ## ruff and the import contracts
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

.PHONY: types
types: $(READY) ## mypy strict, sources and tests
	$(BIN)/mypy

.PHONY: docs
docs: $(READY) ## build the documentation; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

.PHONY: picture
picture: $(READY) ## draw the picture of the README anew, from a real run
	$(BIN)/python docs/picture.py

.PHONY: shots
shots: $(READY) ## take the pictures of the dashboard anew, from stores at work; ARGS="overview queue"
	$(BIN)/python -m docs.shots $(ARGS)

.PHONY: examples
examples: $(READY) ## run every example and compare what it prints
	$(BIN)/python -m pytest -q tests/house/test_examples.py

.PHONY: client
client: $(READY) ## write the client of the REST interface anew, after a change of its routes
	$(BIN)/python -m tests.support.client_source

.PHONY: bench
bench: $(READY) ## figures of this machine on every store, beside its peers: no thresholds
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-web
bench-web: $(READY) ## the dashboard and the REST interface over 1,000,000 jobs in 300 queues, beside Bull Board; ARGS="--jobs 100000"
	$(BIN)/python -m benchmarks.web $(ARGS)

.PHONY: bench-exports
bench-exports: $(READY) ## exports of 1,000,000 rows beside a plain script; ARGS="--rows 100000"
	$(BIN)/python -m benchmarks.exports $(ARGS)

.PHONY: bench-push
bench-push: $(READY) ## pushes a second against a local push service, beside pywebpush
	$(BIN)/python -m benchmarks.push $(ARGS)

.PHONY: bench-mail
bench-mail: $(READY) ## mails a second against a local SMTP server, and what making one costs; ARGS="--mails 500"
	$(BIN)/python -m benchmarks.mail $(ARGS)

.PHONY: bench-chat
bench-chat: $(READY) ## the chat: how soon a message is answered, what an add costs, how many jobs start
	$(BIN)/python -m benchmarks.chat $(ARGS)

.PHONY: bench-saas
bench-saas: $(READY) ## the SaaS API: submissions a second, what the queue adds to a route, a large cleaning
	$(BIN)/python -m benchmarks.saas_api $(ARGS)

.PHONY: bench-marketplace
bench-marketplace: $(READY) ## the marketplace: one charge a payment, mails a second, 1,000,000 events; ARGS="--payments 100"
	$(BIN)/python -m benchmarks.marketplace $(ARGS)

.PHONY: bench-content-platform
bench-content-platform: $(READY) ## the content platform: POST to WebSocket, a sync of 10,000 files, Redis away 20 times; ARGS="--only sync"
	$(BIN)/python -m benchmarks.content_platform $(ARGS)

.PHONY: bench-media
bench-media: $(READY) ## uploads beside plain Pillow and Sharp, images, a video beside ffmpeg; ARGS="--uploads 24"
	$(BIN)/python -m benchmarks.media $(ARGS)

.PHONY: bench-budget
bench-budget: $(READY) ## what one job costs, part by part, beside its floor
	$(BIN)/python -m benchmarks.budget

.PHONY: bench-compare
bench-compare: $(READY) ## is it faster here than at a commit? BASE=main, BASE=HEAD~1, BASE=<hash>
	@[ -n "$(BASE)" ] || { echo "BASE is missing. Try: make bench-compare BASE=HEAD~1"; exit 2; }
	@$(BIN)/python -m benchmarks.compare "$(BASE)" $(ARGS)

.PHONY: check
check: lint types test docs ## the whole truth: what CI runs, and nothing else

.PHONY: build
build: $(READY) ## wheel and source archive
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

.PHONY: clean
clean: ## remove everything that a command here made
	rm -rf .venv .venv-* $(VENV) build dist site toril-demo chat-demo content-data marketplace-data saas-data typed-queues-data tests/interop/node_modules .python-bullmq .bench-peers .hypothesis .mypy_cache .ruff_cache .coverage*
