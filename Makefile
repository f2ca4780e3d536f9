# The front door of the Service Hosting Gateway. Each target with `##` is listed by `make help`.
# It is thin: machines are made ready by src/lab/setup/*.sh, everything else is done by the program `lab`.

KERNEL ?= quick
ifeq ($(filter $(KERNEL),quick board),)
$(error KERNEL=$(KERNEL): it is quick or board)
endif
SETUP := src/lab/setup
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shg
TARGET := i686-unknown-linux-musl
FIRMWARE := init supervisor storage network lease names multicast time identity voice agent package ctl reaper hello
# What only tests put into a root: a supervisor with tenants for rehearsals, two of these tenants, an init with a fault, a door that knows
# more, and the bare one that boots are compared with.
REHEARSAL := -p supervisor -p init -p chatter -p hostile -p porter --features supervisor/rehearsal,init/rehearsal \
	--bin rehearsal --bin panic --bin chatter --bin hostile --bin porter --bin bare
CROSS = $(HOST) . '$(CACHE)/firmware.env' && cargo build --locked --profile firmware --target $(TARGET) --target-dir target/firmware
LAB := cargo run --locked -p lab --

FUZZ := cargo test --release --locked -p tests --test fuzz --

# A recipe that uses Cargo begins with this: a Cargo is there, wherever it came from.
HOST = . '$(CACHE)/host.env' &&

.PHONY: help run smoke check test bench budget report image check-buildroot fuzz kernel firmware vendor clean clean-cache
.PHONY: host rehearsal guest guest-test test-packages deny
.DEFAULT_GOAL := help
# Each step builds on the one before, and Cargo and the kernel's make use all processors by themselves.
.NOTPARALLEL:

help: ## Show this list
	@echo 'The Service Hosting Gateway. Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo 'KERNEL=quick (the default) or KERNEL=board chooses the kernel of run, smoke, test, bench and budget.'

run: guest ## Boot the gateway in QEMU, from nothing if need be, and open its console; KEYS=folder of those whose bundles count
	@$(HOST) $(LAB) run --kernel $(KERNEL) $(if $(KEYS),--keys '$(KEYS)')

smoke: guest-test ## Boot it between a LAN host and an ISP, and print the facts
	@$(HOST) $(LAB) smoke --kernel $(KERNEL)

check: host deny ## Format, lints, the rules of the house, licences: seconds, no root
	@$(HOST) cargo fmt --all --check
	@$(HOST) cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	@$(HOST) cargo test --locked -p tests --test tidy --test buildroot
	@$(HOST) PATH="$(CACHE)/tools/bin:$$PATH" cargo deny --offline --log-level error check bans licenses sources

test: guest-test ## Everything that proves the product; T=pattern for a part, LONG=1 for the long run
	@$(HOST) $(LAB) test --kernel $(KERNEL) $(T)

bench: guest-test ## Measure against peers in the same run; B=name for one
	@$(HOST) $(LAB) bench --kernel $(KERNEL) $(B)

budget: guest-test ## Sizes and resident memory against their limits
	@$(HOST) $(LAB) budget --kernel $(KERNEL)

report: host ## Make docs/usp-conformance.md anew, and print the tables that suites wrote when they last ran here
	@$(HOST) UPDATE=1 cargo test -q --locked -p agent --test conformance -- --nocapture | grep '^| '
	@$(HOST) $(LAB) report

fuzz: host ## Feed parsers with bent bytes; F=name for one, T=seconds (60)
	@case '$(or $(T),60)' in *[!0-9]*) echo 'fuzz: T=$(T): it is a number of seconds' >&2; exit 2 ;; esac
	@$(HOST) cargo test --release --locked -p tests --test fuzz --no-run
	@$(HOST) $(FUZZ) --list '$(F)' 2>/dev/null | grep -q ': test$$' || { \
		echo 'fuzz: F=$(F): no parser has that in its name. There are:' >&2; \
		sed -n '/^#\[test\]/{n;s/^fn \([a-z0-9_]*\).*/  \1/p}' tests/tests/fuzz/*.rs >&2; exit 2; }
	@echo '» each parser for $(or $(T),60) s, a few at a time'
	@$(HOST) FUZZ_SECONDS=$(or $(T),60) $(FUZZ) -q --nocapture '$(F)'

image: ## Build the flashable image with Buildroot; BUILDROOT=<its checkout>
	@buildroot/image.sh '$(BUILDROOT)'

check-buildroot: ## Prove our tree on a Buildroot checkout; BUILDROOT=<its checkout>
	@buildroot/check.sh '$(BUILDROOT)'

kernel: ## Build the board kernel (Linux 6.12), once
	@$(SETUP)/packages.sh kernel
	@$(SETUP)/kernel.sh board

firmware: host ## Build the gateway's programs for the 32-bit target
	@$(CROSS) $(FIRMWARE:%=-p %)

rehearsal: host
	@$(CROSS) $(REHEARSAL)

vendor: host ## Copy the crates' sources into vendor/, for Buildroot
	@$(HOST) cargo vendor --locked vendor >vendor.tmp # with -q it would not say the configuration either
	@mv vendor.tmp vendor/config.toml

clean: ## Remove what was built here
	rm -rf target vendor vendor.tmp output
	@echo 'What was fetched or built once for every checkout stays in $(CACHE); make clean-cache removes it.'

clean-cache: ## Remove what was fetched or built once, for every checkout
	rm -rf '$(CACHE)'

# A machine that can compile for itself and for the target.
host:
	@$(SETUP)/packages.sh run
	@$(SETUP)/toolchain.sh

# What a guest is made of.
guest: host firmware
	@if [ '$(KERNEL)' = board ]; then $(SETUP)/packages.sh kernel; fi
	@$(SETUP)/kernel.sh $(KERNEL)

# And what its peers are.
guest-test: test-packages guest rehearsal
test-packages:
	@$(SETUP)/packages.sh test
	@$(SETUP)/provider.sh
	@$(SETUP)/controller.sh
	@$(SETUP)/oras.sh

# cargo-deny is in no Debian release; it is built once. It looks at what other systems would need, too.
deny: host
	@$(HOST) cargo fetch -q --locked
	@$(HOST) PATH="$(CACHE)/tools/bin:$$PATH" cargo deny --version >/dev/null 2>&1 || { \
		echo '» building cargo-deny, once (a few minutes)' >&2; \
		cargo install --locked --root '$(CACHE)/tools' cargo-deny@0.20.2; }
