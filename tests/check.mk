# deps, demo, check, asan, fuzz: what the two README commands do.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := build-essential gcc clang clang-format libclang-rt-14-dev llvm make pkg-config git ca-certificates \
	libuv1-dev libmicrohttpd-dev libjansson-dev libprotobuf-c-dev protobuf-c-compiler libgnutls28-dev \
	libnl-3-dev libnl-route-3-dev libnftables-dev libsqlite3-dev \
	libcurl4-gnutls-dev uthash-dev libcyaml-dev libyaml-dev libsystemd-dev libcmocka-dev \
	iproute2 nftables procps psmisc curl jq openssl systemd mandoc shellcheck prometheus \
	python3 python3-pytest python3-pyroute2 python3-yaml python3-hypothesis python3-jsonschema libglpk-dev \
	frr frr-pythontools bird2 gobgpd exabgp nginx-light unbound spin etcd-server wrk
# the generated API client: any node with npm will do
PACKAGES += $(shell command -v npm >/dev/null && command -v node >/dev/null || echo nodejs npm)

deps: ## install what building, testing and the demo need (Debian 12)
	@tests/deps.sh $(PACKAGES)

demo: deps ## the main job on real routers, in at most 150 s (KEEP=1 leaves it running)
	@$(MAKE) --no-print-directory -j2 all
	@$(SUDO) env KEEP=$(KEEP) $(PY) -m tests.demo

check: deps ## every test; ends with "N passed, N failed"
	@$(SUDO) $(PY) tests/check.py

asan: ## build everything with AddressSanitizer and UBSan into build/asan
	@$(MAKE) --no-print-directory -j2 SAN=1 BUILD=build/asan all unit

FUZZ_SECONDS ?= 20
fuzz: ## run every fuzz harness for FUZZ_SECONDS
	@tests/fuzz/run.sh $(FUZZ_SECONDS)

format: ## reformat the C sources
	clang-format -i $$(git ls-files '*.c' '*.h')
