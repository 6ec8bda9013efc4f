# Every target does its own set-up on a Debian machine with Go and Node.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
STATICCHECK := go tool -modfile=tools/go.mod staticcheck

.PHONY: build run test fuzz bench soak lint clean

build: ## puts bin/busbar
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/busbar ./cmd/busbar

run: build ## a hub with a simulated network, on embedded defaults
	bin/busbar demo

# Where tests keep their files: in memory, when it has 4 GB to spare and programs may
# run there. Durability is of no use to what lives for one test; what a commit waits
# for otherwise is the disk. The compiler's files stay where they are.
TESTDIR := $(shell findmnt -bnro AVAIL,OPTIONS --target /dev/shm 2>/dev/null | awk '$$1 >= 4e9 && $$2 !~ /noexec/ {print "/dev/shm"; exit}')
TESTENV := $(if $(TESTDIR),env GOTMPDIR=$${TMPDIR:-/tmp} TMPDIR=$(TESTDIR))

test: ## everything, with a private Postgres and Redis; then each fuzz target for two seconds
# hub/faults stands alone: its replicas live by real lease times, and take the whole machine.
	$(TESTENV) scripts/services.sh go test -race -timeout 15m $$(go list ./... | grep -v /hub/faults)
	$(TESTENV) scripts/services.sh go test -race -timeout 15m ./hub/faults
	FUZZTIME=2s FUZZJOBS=4 scripts/fuzz.sh

FUZZTIME ?= 10s
fuzz: ## each fuzz target for FUZZTIME (10s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

bench: build ## what routing, broadcasts and pages cost beside nginx, HAProxy and wrk, in one run
	go run ./bench -busbar bin/busbar

soak: build ## a country through one hub, then through two replicas: is anything lost, late or growing?
	go build -o bin/bench ./bench
	bin/bench soak $(SOAK)
	scripts/services.sh bin/bench soak -replicas 2 $(SOAK)

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

clean:
	rm -rf bin
