# What a person runs. Every target sets up what it needs; `make help` lists them.

SERENO_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sereno
# One target directory for every clone: the heavy dependencies are built once on a machine.
export SERENO_CACHE
export CARGO_TARGET_DIR ?= $(SERENO_CACHE)/target
# Real inputs with right answers, where they are at hand; tests that want them say so and pass over.
CORPORA := $(wildcard $(CURDIR)/../shared/corpora)
ifneq ($(CORPORA),)
export SERENO_CORPORA := $(realpath $(CORPORA))
endif

CARGO := cargo
# `--workspace` always: the same features are unified, so nothing heavy is built twice.
BUILD := --release --workspace --locked

.PHONY: help setup setup-test console own build demo test test-core crash exact simulate mutants lint golden bench compare clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

console: setup ## build the web front end that the binary embeds
	@scripts/console.sh

# Cargo tells a change by its time. A target directory last used by another clone may hold newer
# artefacts of older sources: then this clone's sources count as changed.
own:
	@mkdir -p $(CARGO_TARGET_DIR)
	@if [ "$$(cat $(CARGO_TARGET_DIR)/.clone 2> /dev/null)" != "$(CURDIR)" ]; then \
	    find build.rs src simulators/src tests benches -name '*.rs' -exec touch {} + ; \
	    printf '%s' "$(CURDIR)" > $(CARGO_TARGET_DIR)/.clone ; \
	fi

build: setup console own ## the binaries
	$(CARGO) build $(BUILD)

demo: build ## a whole simulated city on this machine: console on http://127.0.0.1:8080
	@$(CARGO_TARGET_DIR)/release/sereno demo

test: setup-test console own ## every test, with real brokers, stores and browsers
	$(CARGO) fmt --all --check
	$(CARGO) build $(BUILD) --bins
	SERENO_REQUIRE_PEERS=1 $(CARGO) test $(BUILD) --bins --lib --tests

test-core: own ## the exact core alone: no store, listener or InfluxDB; quick to build
	$(CARGO) test --locked --no-default-features --lib -- model decode window rule alert flow journal simulation

# As many worlds as `make simulate SEEDS=2000` says; a failure prints its seed, SERENO_SEED=... repeats it.
SEEDS ?= 2000
simulate: setup own ## the whole core on a virtual clock and a disk that tears, SEEDS= worlds of it
	SERENO_SEEDS=$(SEEDS) $(CARGO) test --release --locked --no-default-features --lib -- simulation

# As many kills by each door as `make crash N=100` says, every named crash point ROUNDS= times, and
# power cut under it; SERENO_SEED=... repeats a run.
N ?= 50
ROUNDS ?= 3
crash: setup-test console own ## kill -9 of the real service under load, N= times by each door
	SERENO_REQUIRE_PEERS=1 SERENO_KILLS=$(N) SERENO_ROUNDS=$(ROUNDS) $(CARGO) test $(BUILD) --test it -- \
	    --nocapture crash power

# SERENO_EXACT_SEED=... repeats one case. What it proves it proves of the whole: kills and worlds too.
exact: setup-test console own ## the engine against the naive evaluator on ten thousand cases, then `crash` and `simulate`
	SERENO_EXACT_CASES=$(or $(CASES),10000) $(CARGO) test $(BUILD) --test exact -- --nocapture
	$(MAKE) crash simulate

# A part of it as `make mutants FILE=src/window/slot.rs` or `make mutants SHARD=3/40` says: the
# whole takes days. What survives is listed in mutants.out/missed.txt of the target directory, and what
# survived last, with the reasons, in docs/faults.md.
CASES_EACH ?= 60
SEEDS_EACH ?= 20
mutants: setup own ## faults put in everywhere, one at a time: which does no test notice?
	@scripts/setup.sh mutants
	SERENO_EXACT_CASES=$(CASES_EACH) SERENO_SEEDS=$(SEEDS_EACH) $(CARGO) mutants --output $(CARGO_TARGET_DIR) \
	    $(if $(FILE),--file $(FILE)) $(if $(SHARD),--shard $(SHARD))

lint: setup own ## clippy without the heavy features, and the front end's checks
	$(CARGO) clippy --locked --no-default-features --features broker,influx --all-targets -- --deny warnings
	$(CARGO) clippy --locked --no-default-features --lib --tests -- --deny warnings

golden: ## compute the pipelines' expected answers again, by programs that share no code with Sereno
	@for program in pipelines/*/expected/compute.py tests/fixtures/*/compute.py; do echo "$$program"; python3 "$$program" || exit 1; done

bench: setup console own ## figures: CPU an event, events/s, latencies, start-up, memory
	$(CARGO) bench --workspace --locked --bench core
	$(CARGO) bench --workspace --locked --bench core -- scale rules state
	$(CARGO) bench --workspace --locked --bench service

# EVENTS=1000000 RUNS=3 FLINK=no make it shorter: whole, with Flink, it takes about an hour.
compare: setup own ## the engine's CPU beside DuckDB and Flink SQL, and every window against DuckDB's answer
	EVENTS=$(or $(EVENTS),10000000) RUNS=$(or $(RUNS),5) FLINK=$(FLINK) python3 benches/compare/compare.py

clean: ## forget what this machine built
	rm -rf $(CARGO_TARGET_DIR) console/dist console/node_modules
