# SPDX-License-Identifier: GPL-2.0-only
"""Build parts of a Linux tree: in other configurations, with other compilers, and
with checkers; what they say is of interest where the series added something."""

import collections
import glob
import os
import re
import shutil
import subprocess

import initrd
import machine
from tests.trees import LINUX, base, git

# Where the series has code
OURS = ["arch/x86/virt/svm/", "arch/x86/kvm/", "drivers/crypto/ccp/", "drivers/iommu/amd/",
        "mm/page_alloc.o"]

GCC = ("CC=ccache gcc",)
CLANG = ("LLVM=-19",)

FRAGMENT = os.path.join(machine.TOP, "bench", "kernel.config")

# Kernels that look for mistakes: in locking and life times, and where memory is not
# there; in addresses; in what CPUs do at the same time
DEBUG = ("CONFIG_PROVE_LOCKING=y", "CONFIG_DEBUG_ATOMIC_SLEEP=y", "CONFIG_DEBUG_OBJECTS=y",
         "CONFIG_DEBUG_OBJECTS_WORK=y", "CONFIG_DEBUG_OBJECTS_TIMERS=y", "CONFIG_DEBUG_PREEMPT=y",
         "CONFIG_DEBUG_OBJECTS_FREE=y", "CONFIG_UBSAN=y", "CONFIG_DEBUG_VM=y",
         "CONFIG_SLUB_TINY=n", "CONFIG_SLUB_DEBUG=y", "CONFIG_FAULT_INJECTION=y", "CONFIG_FAILSLAB=y",
         "CONFIG_FAIL_PAGE_ALLOC=y", "CONFIG_FAULT_INJECTION_DEBUG_FS=y")
KASAN = (*DEBUG, "CONFIG_KASAN=y", "CONFIG_DEBUG_KMEMLEAK=y")
KCSAN = ("CONFIG_KCSAN=y", "CONFIG_KCSAN_STRICT=y")
UNDER = {"debug": DEBUG, "kasan": KASAN, "kcsan": KCSAN}


def added():
    """File -> the numbers of the lines that the series added to it."""
    lines = collections.defaultdict(set)
    for line in git("diff", "-U0", base(), "HEAD").splitlines():
        if line.startswith("+++ "):
            name = line[6:]
        hunk = re.match(r"@@ .* \+(\d+),?(\d*) @@", line)
        if hunk:
            first = int(hunk[1])
            lines[name].update(range(first, first + int(hunk[2] or 1)))
    return lines


class Build:
    """An output directory with a configuration: that of the bench, and more lines."""

    def __init__(self, name, tree=LINUX, tools=GCC):
        self.tree, self.tools = tree, tools
        # Where ccache finds what was compiled in out/: the paths to the source are the same.
        self.out = os.path.join(tree, "out-" + name)
        self.kernel = os.path.join(self.out, "arch/x86/boot/bzImage")
        os.makedirs(self.out, exist_ok=True)

    def make(self, *words):
        """What the build says; its end and an exception, if it fails."""
        keep = {key: value for key, value in os.environ.items()
                if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARCH", "KBUILD_OUTPUT")}
        done = subprocess.run(
            ["make", "-C", self.tree, f"O={self.out}", f"-j{os.cpu_count()}", *self.tools, *words],
            env=dict(keep, CCACHE_DIR=os.path.join(machine.CACHE, "ccache"), LC_ALL="C.UTF-8",
                     CCACHE_BASEDIR=machine.TOP, CCACHE_NOHASHDIR="1"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False)
        if done.returncode:
            raise AssertionError("\n".join(done.stdout.splitlines()[-30:]))
        return done.stdout

    def configure(self, *lines, start="tinyconfig"):
        """The lines come last, and have to hold in the end."""
        config = os.path.join(self.out, ".config")
        extra = os.path.join(self.out, "fragment")
        with open(extra, "w") as file:
            file.write("".join(line + "\n" for line in lines))
        self.make(start)
        subprocess.run([os.path.join(self.tree, "scripts/kconfig/merge_config.sh"), "-m", "-O",
                        self.out, config, *([FRAGMENT] if start == "tinyconfig" else []), extra],
                       stdout=subprocess.DEVNULL, check=True)
        self.make("olddefconfig")
        with open(config) as file:
            got = set(file.read().splitlines())
        for line in lines:
            if line not in got and f"# {line.removesuffix('=n')} is not set" not in got:
                name = line.partition("=")[0]
                if not line.endswith("=n") or any(have.startswith(name + "=") for have in got):
                    raise AssertionError(f"this kernel cannot have {line}")

    def initrd(self):
        """That of the tests with this kernel's modules in it, for modprobe."""
        root = os.path.join(self.out, "root")
        shutil.rmtree(root, ignore_errors=True)
        self.make("modules_install", f"INSTALL_MOD_PATH={root}")
        for link in glob.glob(root + "/lib/modules/*/build"):
            os.unlink(link)
        return initrd.add(root, os.path.join(self.out, "initrd"))

    def complaints(self, said):
        """The warnings that are about what the series added."""
        lines, found = added(), []
        for line in said.splitlines():
            place = re.match(r"(\S+?):(\d+):(?:\d+:)? (?:warning|error)", line)
            if place:
                path = os.path.relpath(os.path.join(self.out, place[1]), self.tree)
                if int(place[2]) in lines.get(path, ()):
                    found.append(line)
        return found

    def test_modules(self):
        """The initramfs of the tests, with their modules built for this kernel."""
        root = os.path.join(self.out, "root")
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(os.path.join(root, "tests"))
        source = os.path.join(machine.TOP, "bench", "kmod")
        self.make("modules", f"M={source}", f"MO={self.out}/kmod")
        for module in glob.glob(os.path.join(self.out, "kmod", "*.ko")):
            shutil.copy(module, os.path.join(root, "tests"))
        return initrd.add(root, os.path.join(self.out, "initrd"))


def base_kernel():
    """The kernel without the series."""
    tree = os.path.join(machine.BUILD, "check", "base")
    # One that another build/linux left is not in this one's list.
    git("worktree", "prune")
    if f"worktree {tree}\nHEAD {base()}" not in git("worktree", "list", "--porcelain"):
        shutil.rmtree(tree, ignore_errors=True)
        git("worktree", "prune")
        git("worktree", "add", "--detach", tree, base())
    build = Build("base", tree=tree)
    build.configure()
    build.make("bzImage")
    return build.kernel


def _build_under(name):
    build = Build(name)
    build.configure(*UNDER[name])
    build.make("bzImage", "modules")
    return build


def debug_kernel():
    """A kernel with DEBUG; under one that has it, that one."""
    if os.environ.get("UNDER") in ("debug", "kasan"):
        return machine.KERNEL
    return _build_under("debug").kernel


def test_under(name):
    """Have all that is booted from here on be a kernel that looks for mistakes."""
    if name not in UNDER:
        raise SystemExit(f"rmpopt: UNDER={name} is not one of {' '.join(UNDER)}")
    print(f"# building the kernel {name}", flush=True)
    build = _build_under(name)
    machine.KERNEL, machine.INITRD = build.kernel, build.test_modules()
    machine.SLOWER = 4
