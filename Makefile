# make demo: see it work. make test: see every test pass. The rest is in docs/testing.md.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(PATH):$(HOME)/.cargo/bin:$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mdadm-rs/tools/bin

PREFIX ?= /usr
DESTDIR ?=
# seeds of each long campaign in `make soak`; `make test` runs one
SOAK_SEEDS ?= 100

.PHONY: build demo test lint compare bench soak systemd install install-data

build:
	cargo build --release --locked

# A raid5 with a lockless bitmap, from create over a power cut to the end of the resync.
demo:
	tests/setup demo
	$(MAKE) --no-print-directory build
	tests/demo/run

test:
	tests/setup test
	$(MAKE) --no-print-directory lint
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --locked; else cargo test --locked; fi

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

# Ours against the reference, case by case, on equal devices in one guest.
compare:
	tests/setup test
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --locked --test compare --success-output final --failure-output final; \
	else cargo test --locked --test compare -- --nocapture; fi

# Ratios to the reference: instructions, memory, bytes read.
bench:
	tests/setup bench
	$(MAKE) --no-print-directory build
	tests/bench/run

# The campaigns of `make test` with many seeds; what a run finds goes into docs/soak.md.
soak:
	tests/setup test
	SOAK_SEEDS=$(SOAK_SEEDS) cargo test --locked --test 'power_*' -- soak --nocapture
	T=7200 GUEST_SEEDS=$(SOAK_SEEDS) cargo test --locked --test kernel_boot_order -- soak --nocapture
	SOAK_SEEDS=$(SOAK_SEEDS) cargo test --locked --test cli_golden -- soak --ignored --nocapture
	GUEST_ROUNDS=$(SOAK_SEEDS)0 cargo test --locked --test kernel_hostile -- --nocapture
	T=$$((60 + 20 * $(SOAK_SEEDS))) GUEST_SEEDS=$(SOAK_SEEDS) cargo test --locked --test kernel_boot -- soak --ignored --nocapture

# The units and rules under this machine's systemd, in a guest.
systemd:
	cargo build --locked
	tests/systemd/run

install: build install-data
	install -D -m 755 target/release/mdadm $(DESTDIR)$(PREFIX)/sbin/mdadm

# Manual pages, completions, udev rules, systemd units.
install-data:
	for page in man/*.[1-8]; do install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	for rules in udev/*.rules; do sed 's,/usr/sbin/mdadm,$(PREFIX)/sbin/mdadm,g' $$rules | \
		install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/udev/rules.d/$${rules##*/}; done
	for unit in systemd/*.service systemd/*.timer; do sed 's,/usr/sbin/mdadm,$(PREFIX)/sbin/mdadm,g' $$unit | \
		install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}; done
	sed 's,/usr/sbin/mdadm,$(PREFIX)/sbin/mdadm,g' systemd/mdadm.shutdown | \
		install -D -m 755 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system-shutdown/mdadm.shutdown
	install -D -m 644 completions/mdadm.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mdadm
	install -D -m 644 completions/_mdadm $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_mdadm
	install -D -m 644 completions/mdadm.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mdadm.fish
