# SPDX-License-Identifier: GPL-2.0-only
"""What other programs find by reading the series."""

import os
import re
import subprocess
import unittest

import kbuild
from tests.trees import LINUX, base, git


# What checkpatch does not know: MAINTAINERS comes last in the series, tracepoint
# headers and the table of CPU features have a layout of their own.  A macro of the
# SNP guest library takes the name of a field.  The tree has no history of Linux.
EXCEPTIONS = {
    "asm/cpufeatures.h": "SPACING",
    "new file mode": "FILE_PATH_CHANGES",
    "x86/snp_guest.h": "MACRO_ARG_REUSE",
    "\nFixes: b2c9e2fbba32 ": "UNKNOWN_COMMIT_ID",
    "asm/trace/rmpopt.h": "PARENTHESIS_ALIGNMENT,OPEN_ENDED_LINE,SPACING",
}


class TestStatic(unittest.TestCase):
    def test_checkpatch(self):
        for commit in git("rev-list", f"{base()}..HEAD").split():
            patch = git("format-patch", "-1", "--stdout", commit)
            ignored = [types for sign, types in EXCEPTIONS.items() if sign in patch]
            done = subprocess.run(
                [os.path.join(LINUX, "scripts", "checkpatch.pl"), "--strict", "--no-tree",
                 "--no-signoff", "--quiet", "--ignore", ",".join(ignored), "-"], input=patch,
                cwd=LINUX, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_spelling(self):
        """Of the messages, and of the lines that were added."""
        text = git("log", "--format=%B", f"{base()}..HEAD") + "".join(
            line[1:] + "\n" for line in git("diff", "-U0", base(), "HEAD").splitlines()
            if line.startswith("+"))
        done = subprocess.run(["codespell", "-"], input=text, capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_warnings(self):
        """make W=1, where most of the code is; 'make check' does more."""
        build = kbuild.Build("gcc")
        build.configure("CONFIG_KVM_WERROR=n")
        said = build.make("W=1", "arch/x86/virt/svm/", "arch/x86/kvm/svm/footprint.o")
        self.assertEqual(build.complaints(said), [])

    def test_size(self):
        """Without documents and tests; a feature beyond the basis has a commit of its own."""
        def lines(kind, since, until):
            stat = git("diff", "--no-renames", "--numstat", f"--diff-filter={kind}", since, until,
                       "--", "arch", "drivers", "include", "mm", "virt", ":!*kunit*")
            return sum(int(line.split()[0]) for line in stat.splitlines())

        basis = git("log", "--format=%H", "--diff-filter=A", "--", "arch/x86/virt/svm/rmpopt-sysfs.c")
        # Placement is a second part, and begins in mm.
        first = git("log", "--reverse", "--format=%H", f"{base()}..HEAD", "--", "mm").split()[0] + "^"
        size = lines("A", base(), basis), lines("M", base(), first)
        self.notes = [f"{size[0]} lines of its own, {size[1]} added to files that exist; "
                      f"placement: {lines('A', first, 'HEAD')} and {lines('M', first, 'HEAD')}"]
        self.assertLess(size[0], 1100)
        self.assertLess(size[1], 120)
        new = git("diff", "--name-only", "--diff-filter=A", base(), "HEAD", "--", "arch")
        for name in new.splitlines():
            with open(os.path.join(LINUX, name)) as file:
                for body in re.findall(r"^{\n(.*?)^}\n", file.read(), re.M | re.S):
                    self.assertLess(body.count("\n"), 40, f"{name}: {body[:80]}")
