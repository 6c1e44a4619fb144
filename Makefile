# Thin: each target is a cargo command or a script beside it. All of them set up what they need.

# Outside the tree, so that a fresh clone builds as fast as the last one.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/faas/target
export FAAS_COMMIT := $(shell git describe --always --dirty --exclude "*" 2>/dev/null)

TARGET := x86_64-unknown-linux-gnu
ifeq ($(shell uname -m),aarch64)
TARGET := aarch64-unknown-linux-gnu
endif
PREFIX ?= /usr/local
DEVCLUSTER := deploy/devcluster/devcluster
# The suite that engines of the queue pass is a feature, which nothing that is shipped has.
EVERYTHING := --workspace --features faas-queue/conformance
STATIC := -C target-feature=+crt-static
CARGO := cargo
# Together, so that dependencies have the same features in all of them, and a profile is of all.
BINARIES := -p faas-cli -p faas-watchdog -p faas-bench
QUICK := $(CARGO_TARGET_DIR)/$(TARGET)/quick
RELEASE := $(CARGO_TARGET_DIR)/$(TARGET)/release

.PHONY: build run test lint bench bench-cluster bench-images soak fuzz images cluster-images cluster-install install cluster cluster-env cluster-load cluster-down clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

build: ## release binaries, static, in bin/; PROFILE=none builds sooner, and what is slower
	@echo "Building the release binaries; a first build takes about ten minutes on two cores, and as long for a profile."
	profile=$$(RUSTFLAGS="$(STATIC)" bench/profile $(TARGET) $(BINARIES)) && \
		RUSTFLAGS="$(STATIC) $$profile" $(CARGO) build --release --target $(TARGET) $(BINARIES)
	@mkdir -p bin && install $(RELEASE)/faas $(RELEASE)/faas-watchdog bin/ && ls -l bin

run: ## build quickly and start `faas serve`; Ctrl-C ends it
	@echo "Building faas; a first build takes a few minutes on two cores, the next one seconds."
	RUSTFLAGS="$(STATIC)" $(CARGO) build --profile quick --target $(TARGET) --no-default-features -p faas-cli -p faas-watchdog
	@mkdir -p bin && install $(QUICK)/faas $(QUICK)/faas-watchdog bin/
	@echo; echo "To use the command line in another terminal:"; echo
	@echo "  export PATH=\"$(CURDIR)/bin:\$$PATH\""; echo
	@exec bin/faas serve

test: ## every test; those of a cluster where there is one
	deploy/devcluster/with-cluster $(CARGO) test $(EVERYTHING)

lint: ## formatting, clippy, documentation, fuzz targets, chart
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(EVERYTHING) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet
	for crate in watchdog gateway; do (cd $$crate/fuzz && RUSTFLAGS="--cfg fuzzing" CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)/fuzz" \
		$(CARGO) clippy --quiet --locked --all-targets -- -D warnings) || exit 1; done
	charts/faas/lint

bench: build ## measure what SPECIFICATION.md states, and note it in bench/history.jsonl; exit 1 if a bound is missed
	$(RELEASE)/faas-bench --bin-dir bin --history bench/history.jsonl

bench-cluster: build ## the same on Kubernetes, as root; noted in bench/history.jsonl too
	IMAGES=bench-images deploy/devcluster/with-cluster $(RELEASE)/faas-bench --bin-dir bin --only cluster --history bench/history.jsonl

bench-images: build
	deploy/images/build release faas fwatchdog test-function nats

soak: ## the crash test, and calls that leave nothing behind, for long
	FAAS_SOAK_CALLS=100000 $(CARGO) test -p faas-watchdog --test it -- stay_behind --nocapture
	FAAS_SOAK_ROUNDS=500 $(CARGO) test -p faas-e2e --test crash -- --nocapture

FUZZ := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 -Cdebug-assertions=on
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := watchdog/frame watchdog/environ gateway/paths gateway/headers gateway/framing

fuzz: ## feed what a stranger could send to the watchdog's and the gateway's parsers, FUZZ_SECONDS each
	@for each in $(FUZZ_TARGETS); do \
		crate=$${each%/*} target=$${each#*/} found="$(CARGO_TARGET_DIR)/fuzz/found/$$each" && mkdir -p "$$found" && \
		(cd $$crate/fuzz && RUSTFLAGS="$(FUZZ)" CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)/fuzz" \
			$(CARGO) run --quiet --release --target $(TARGET) --bin $$target -- \
			-max_total_time=$(FUZZ_SECONDS) -artifact_prefix="$$found-" -verbosity=0 -print_final_stats=1 \
			"$$found" corpus/$$target) || exit 1; \
	done

images: build ## the platform's images and the runtimes', as OCI archives in bin/images/
	deploy/images/build release faas fwatchdog python3 node binary

cluster-images: ## quickly built images for the development cluster, those of the tests included
	RUSTFLAGS="$(STATIC)" $(CARGO) build --profile quick --target $(TARGET) -p faas-cli -p faas-watchdog
	@mkdir -p bin && install $(QUICK)/faas $(QUICK)/faas-watchdog bin/
	$(DEVCLUSTER) tools
	deploy/images/build quick faas fwatchdog test-function nats
	FAAS_IMAGES_BASE=$${FAAS_IMAGES_BASE:-debootstrap} deploy/images/build quick python3 node binary

cluster-install: cluster-images ## the platform in the development cluster; HELM_ARGS are for helm
	deploy/devcluster/install $(HELM_ARGS)

install: build ## install faas, faas-watchdog and the link faas-cli in PREFIX/bin
	install -d $(DESTDIR)$(PREFIX)/bin
	install bin/faas bin/faas-watchdog $(DESTDIR)$(PREFIX)/bin/
	ln -sf faas $(DESTDIR)$(PREFIX)/bin/faas-cli

cluster: ## start a Kubernetes of our own on this machine, as root
	@$(DEVCLUSTER) up

cluster-env: ## print how to use it: eval "$(make -s cluster-env)"
	@$(DEVCLUSTER) env

cluster-load: ## put an image into it: IMAGE=x.tar, an OCI archive
	@$(DEVCLUSTER) load "$(IMAGE)"

cluster-down: ## remove every trace of it
	@$(DEVCLUSTER) down

clean: ## remove what was built
	rm -rf bin "$(CARGO_TARGET_DIR)"
