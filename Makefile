# Commands for people and CI; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test test-real check deny openapi

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || sed -n 's/^\([a-z-]*:\).*## /\1 /p' $(MAKEFILE_LIST)

run: ## start everything in one process on http://127.0.0.1:8080
	cargo run --release

test: ## run every test on private MariaDB and RabbitMQ servers (installs them from Debian's packages if necessary)
	@scripts/test

.PHONY: alerts
alerts: ## test the alerts with promtool and a real Prometheus (DRILL=1: make each fault on purpose, three minutes)
	cargo build --workspace --bins
	@scripts/alerts $(if $(DRILL),drill)

.PHONY: manifests
manifests: ## check the Dockerfile, the compose file, the Kubernetes base and the workflows
	@scripts/manifests

test-real: ## run the database and broker tests on current MySQL and RabbitMQ
	@scripts/test-real

check: ## check formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## check licences, sources and known advisories of all dependencies
	@scripts/deny

openapi: ## regenerate the documents in openapi/ and the courier's
	cargo run -q -p standalone -- openapi openapi/
	cargo run -q -p courier -- openapi >courier/openapi.json

.PHONY: settings
settings: ## write docs/settings.md from common/config/default.toml
	cargo test -q --workspace --test tidy -- --ignored write_the_page_of_settings

.PHONY: clients
clients: ## generate the TypeScript and Python clients into target/clients, and check their types (docs/clients.md)
	@scripts/clients

.PHONY: commit-hook
commit-hook: ## install the git hook that checks each commit message (scripts/check-commits)
	@scripts/check-commits --install

.PHONY: bench
bench: ## measure against limits and write docs/benchmarks.md (QUICK=1 ONLY=8,9 PEERS=1 REAL=1 OLD=5000000 BEFORE=path/to/expediter: see scripts/bench)
	@scripts/bench

.PHONY: up down
up: ## start a production setup on private servers: 2 api, 2 worker, 2 notifier, kitchen, courier, gateway (PROFILE=debug, PORT=8000; CLUSTER=1: on three nodes each of MariaDB and RabbitMQ)
	@scripts/up

down: ## stop everything that `make up` started
	@scripts/up down

.PHONY: chaos
chaos: ## kill, stall, disconnect and restart processes under load, then verify every order (ROUNDS=20 SEED= FIRST=0 GROUND=embedded, fleet, cluster, both for the first two, or all)
	cargo build --workspace --bins
	@$${CARGO_TARGET_DIR:-target}/debug/chaos --ground $(or $(GROUND),both) --rounds $(or $(ROUNDS),20) --first $(or $(FIRST),0) $(if $(SEED),--seed $(SEED)) $(CHAOS)

.PHONY: fuzz
fuzz: ## fuzz the API on SQLite and on private MySQL (many minutes)
	cargo build --workspace --bins
	@scripts/python-tools install
	@scripts/test-servers run cargo test -p e2e --test openapi -- --ignored --nocapture

.PHONY: dist
dist: ## build release binaries with their dependencies listed inside, and a bill of materials, into target/dist (needs cargo-auditable, cargo-cyclonedx)
	cargo auditable build --release --locked -p api -p worker -p notifier -p standalone -p kitchen -p courier
	mkdir -p target/dist
	tar -C $${CARGO_TARGET_DIR:-target}/release -czf target/dist/expediter-$(or $(PLATFORM),linux).tar.gz api worker notifier expediter kitchen courier
	cargo cyclonedx --format json --override-filename bom --manifest-path standalone/Cargo.toml
	mv standalone/bom.json target/dist/expediter-$(or $(PLATFORM),linux).cdx.json
	cd target/dist && sha256sum expediter-$(or $(PLATFORM),linux).tar.gz expediter-$(or $(PLATFORM),linux).cdx.json >expediter-$(or $(PLATFORM),linux).sha256
