# The commands that people and CI use. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test test-real check deny openapi

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || sed -n 's/^\([a-z-]*:\).*## /\1 /p' $(MAKEFILE_LIST)

run: ## start everything in one process on http://127.0.0.1:8080
	cargo run --release

test: ## run every test on private MariaDB and RabbitMQ servers (installs them from Debian's packages if need be)
	@scripts/test

test-real: ## run the database and broker tests on today's MySQL and RabbitMQ
	@scripts/test-real

check: ## look at format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## look at licences, sources and known advisories of all dependencies
	@scripts/deny

openapi: ## write the generated documents in openapi/ anew
	cargo run -q -p standalone -- openapi openapi/

.PHONY: bench
bench: ## measure rates and delays beside their limits, and write docs/benchmarks.md (QUICK=1: a minute, only printed; STATS=1: lists and stats of a million orders)
	cargo build --release -p bench -p standalone
	@ulimit -n $$(ulimit -H -n); scripts/test-servers run $${CARGO_TARGET_DIR:-target}/release/bench $(if $(STATS),--only 6) $(if $(QUICK),--quick,--write docs/benchmarks.md)

.PHONY: up down
up: ## start production shape on private servers: 2 api, 2 worker, 2 notifier, kitchen, gateway (PROFILE=debug, PORT=8000)
	@scripts/up

down: ## stop what `make up` started
	@scripts/up down

.PHONY: chaos
chaos: ## kill, stall, cut and restart everything under load, and count (ROUNDS=20 SEED= FIRST=0 GROUND=embedded, fleet or both)
	cargo build --workspace --bins
	@$${CARGO_TARGET_DIR:-target}/debug/chaos --ground $(or $(GROUND),both) --rounds $(or $(ROUNDS),20) --first $(or $(FIRST),0) $(if $(SEED),--seed $(SEED)) $(CHAOS)

.PHONY: fuzz
fuzz: ## send the api a great deal that nobody should, on SQLite and on private MySQL (many minutes)
	cargo build --workspace --bins
	@scripts/python-tools install
	@scripts/test-servers run cargo test -p e2e --test openapi -- --ignored --nocapture
