# Everything is built by CMake into build/; this file only names the jobs.
JOBS ?= $(shell nproc)
export DURATION ROUNDS SEED OTELCOL CONFIGS TRACES

.PHONY: run build test lint format interop fuzz simulate differential soak bench bench-instructions clean deps \
  deploy-check arm64-check

run: build            ## build, then collect traffic that it makes itself (DURATION=20s ends by itself)
	@build/moontail demo

build: deps           ## build/moontail (Release)
	@tools/build release

deps:                 ## install what is missing
	@tools/install

test: deps            ## all tests: units, specs, scenarios, system; ASan+UBSan and TSan too
	@tests/run

lint: deps            ## warnings of gcc and clang, clang-format, clang-tidy, luacheck
	@tools/lint

format: deps
	@tools/lint --format

interop: build        ## Python, Node, Java and Go SDKs against the program
	@tests/interop/run

fuzz: deps            ## libFuzzer targets, FUZZ_SECONDS each (default 60)
	@tests/fuzz/run

simulate: deps        ## the whole collector from SEEDS=1000 seeds on a fake disk, network and clock (FIRST=1)
	@tools/build release collector_test_simulation && tests/simulate $(or $(SEEDS),1000) $(or $(FIRST),1)

differential: build   ## imported sampling beside the collector's own (OTELCOL=PATH CONFIGS=200 TRACES=2000 SEED=1)
	@tests/differential/run

soak: build           ## long campaigns: kills under load (ROUNDS=200), a busy disk, ... (SOAK="kills disk")
	@tests/soak/run $(SOAK)

deploy-check: deps    ## deploy/ by helm, kubeconform, promtool and terraform (needs Go; ten minutes the first time)
	@build/venv/bin/python deploy/check $(PARTS)

arm64-check: deps     ## the program and all unit tests for arm64, in emulators (root, debootstrap; an hour)
	@deploy/arm64

bench: build          ## CPU, beside a peer with OTELCOL=PATH (ROWS=must, ROUNDS=N; bench/run --list)
	@bench/run $(if $(OTELCOL),--otelcol $(OTELCOL)) $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-instructions: build ## what a span executes, held to a bound (in `make test` too)
	@bench/run --instructions

clean:
	rm -rf build
