# The two that a newcomer needs are `make demo` and `make test`.
CARGO ?= cargo
SEED ?= 1
N ?= 200
CACHE := $(or $(DRYDOCK_TEST_CACHE),/var/cache/drydock-tests)

.PHONY: demo test lint audit bench crash setup cluster cluster-down cluster-smoke

demo: setup ## the whole story on real servers, explained
	$(CARGO) build --release --bin drydock
	demo/run

test: setup ## unit, integration and interoperability tests on real servers, 500 kills and 100 power cuts
	$(CARGO) test

lint: setup ## formatting, clippy, licences, sources, banned crates
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) fetch --locked # also what only other platforms need: their licences count
	$(CACHE)/cargo-deny-bin --offline check bans licenses sources

audit: setup ## security advisories; fetches the RustSec database
	$(CACHE)/cargo-deny-bin check advisories

bench: setup ## ratios against restic, tar, pg_dump and pg_restore in one run; writes target/bench.json
	$(CARGO) bench --bench compare

crash: setup ## kill -9 of commands and of the daemon at N random instants each, and N power cuts, judged by tools that are not ours: make crash SEED=7 N=1000
	SEED=$(SEED) N=$(N) CUTS=$(N) DAEMONS=$(N) $(CARGO) test --test crash -- --nocapture

setup: ## servers and tools for the tests, into a cache
	tests/setup

cluster: ## a real Kubernetes in namespaces of this machine (root): make cluster NAME=dev NODES=2; prints the kubeconfig
	@NODES=$(or $(NODES),1) tests/cluster/up $(or $(NAME),dev)

cluster-down: ## ends it and removes all of it, also after a crash
	@tests/cluster/down $(or $(NAME),dev)

cluster-smoke: ## what the development cluster promises, tried for real on clusters of its own (two minutes)
	tests/cluster/smoke
