# SPDX-License-Identifier: GPL-2.0-only
# The front door.  Each target says what it does in 'make help'; the work is in
# scripts/ and bench/.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.DEFAULT_GOAL := help

S := scripts
SETUP ?= yes
CORES ?= 4
THREADS ?= 2
NODES ?= 1
MEM ?= 8G
export LINUX QEMU_SRC RMPOPT_CACHE
export KERNEL INITRD APPEND CORES THREADS NODES MEM FAR QEMU_ARGS
export VCPUS HOST ON AGAIN LIMIT REROLL BOOTS REPEAT RESULTS UNDER VMS MINUTES


## run: boot an SNP host, let an SNP VM come and go, show what RMPOPT did
run: initrd emulator
	@$(S)/run

## test: every test; the last line is "N passed, N failed, N skipped"; UNDER=kasan, kcsan
##       or debug has the kernel look for mistakes: check and soak take that, too
test: guest-stack emulator
	@$(S)/test $(TESTS)

## check: what takes long: every commit built and booted, other configurations and
##        compilers, sparse and coccinelle, modules, a debug kernel, [BOOTS=100] boots;
##        'make test' has the quick checks
check: guest-stack emulator
	@[ "$(SETUP)" = no ] || $(S)/setup check
	@$(S)/fetch sparse
	@$(S)/test --check $(TESTS)

## soak: load, and whatever else finds what breaks rarely, for as long as you like;
##       [VMS=1000 or MINUTES=60]; 'make test' has the short forms
soak: initrd emulator
	@$(S)/test --soak $(TESTS)

## fuzz: the emulator's own files, by libFuzzer; [MINUTES=1] for each of two harnesses
fuzz: emulator
	@$(S)/fuzz

## guest: boot Debian as an SNP guest, by Debian's own QEMU and OVMF, and have it
##        report; [VCPUS=1 HOST=ours], HOST=stock for Debian's own host kernel
guest: guest-stack emulator
	@$(S)/guest

## kvm-selftests: all of Linux's KVM selftests on Debian's QEMU and on the emulator, or
##        with ON="base emulator" without the series and with it; what passes on the
##        first must pass on the second (hours; goes on where it was ended);
##        [ON="stock|base|emulator ..." AGAIN=yes LIMIT=seconds TESTS=name]
kvm-selftests: linux-tree emulator
	@$(S)/build all-selftests
	@$(S)/kvm-selftests $(TESTS)

## bench: what the end of an SNP VM costs everybody else, under the policies of the
##        series and the public ones; tables in out/bench.md; [REPEAT=3 RESULTS=out],
##        ten minutes
bench: initrd emulator
	@$(S)/bench

## containment: which regions an SNP VM takes from everybody, by its size, on a fresh and
##              on a churned host; tables in out/containment.md; [RESULTS=out], an hour
containment: initrd emulator
	@$(S)/bench containment

## boot: boot KERNEL= and INITRD= (default: ours) on the emulated SNP host, with
##       [APPEND= CORES=4 THREADS=2 NODES=1 MEM=8G QEMU_ARGS=]; C-a x ends it;
##       NODES=2 FAR=3T has the last node's memory begin at that address
boot: emulator $(if $(KERNEL),,kernel) $(if $(INITRD),,initrd)
	@$(S)/boot

## tree: build/linux and build/qemu, git work trees: the pristine source and
##       our commits on it
tree: linux-tree qemu-tree

## save: write commits made in build/linux and build/qemu back into series/,
##       emulator/ and the files beside them
save:
	@$(S)/save linux
	@$(S)/save qemu

## series: out/series, the patches and a cover letter as mails, signed off by you
##         (git config user.name and user.email), verified with 'git am'; [REROLL=1]
series: linux-tree
	@$(S)/series

linux-tree: setup
	@$(S)/tree linux $(LINUX)

qemu-tree: setup
	@$(S)/tree qemu $(QEMU_SRC)

## kernel: build Linux with the series
kernel: linux-tree
	@$(S)/build kernel

## emulator: build QEMU as an SNP host
emulator: qemu-tree
	@$(S)/build emulator

## selftests: build the KVM selftests, the test modules and programs
selftests: linux-tree
	@$(S)/build selftests

## initrd: build the initramfs that the run and the tests boot
initrd: linux-tree
	@$(S)/build initrd

guest-stack: linux-tree
	@$(S)/build guest

setup:
	@[ "$(SETUP)" = no ] || $(S)/setup

## paths: where things are, NAME=absolute path
paths:
	@echo "LINUX_TREE=$(CURDIR)/build/linux"
	@echo "KERNEL=$(CURDIR)/build/linux/out/arch/x86/boot/bzImage"
	@echo "QEMU=$(CURDIR)/build/qemu/out/qemu-system-x86_64"
	@echo "INITRD=$(CURDIR)/build/initrd.gz"
	@echo "SELFTESTS=$(CURDIR)/build/selftests"

## clean: remove what was built here; what was fetched and compiled stays cached
clean:
	@$(S)/clean

## distclean: clean, and remove the cache and the results too
distclean:
	@$(S)/clean all

## help: this
help:
	@sed -n 's/^## //p' Makefile
	@echo "Use a tree you have with LINUX=dir (Linux 7.3), QEMU_SRC=dir (QEMU 10.0);"
	@echo "RMPOPT_CACHE=dir moves the cache; SETUP=no installs no packages."

.NOTPARALLEL:
.PHONY: run test check soak fuzz bench containment boot tree save series linux-tree qemu-tree \
	kernel emulator selftests initrd guest guest-stack kvm-selftests setup paths clean distclean help
