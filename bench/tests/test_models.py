# SPDX-License-Identifier: GPL-2.0-only
"""The concurrency of the series, by exhaustive search: bench/models, by spin."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import machine

MODELS = os.path.join(machine.TOP, "bench", "models")

# In bytes: the largest state of any model, and memory in MiB that no search needs.
STATE, MEMORY = 256, 3000


def check(name, switch=None):
    """What the search through the model says, broken by the switch or as it is."""
    with tempfile.TemporaryDirectory() as directory:
        def run(*command):
            return subprocess.run(command, cwd=directory, capture_output=True, text=True,
                                  check=True, timeout=300).stdout

        run("spin", "-a", *([f"-D{switch}"] if switch else []),
            os.path.join(MODELS, f"{name}.pml"))
        run("gcc", "-O0" if switch else "-O2", "-w", "-DSAFETY", f"-DVECTORSZ={STATE}",
            f"-DMEMLIM={MEMORY}", "-o", "pan", "pan.c")
        return run("./pan", "-m100000", "-w24")


def switches(name):
    with open(os.path.join(MODELS, f"{name}.pml")) as file:
        return re.search(r"Broken on purpose by: ([A-Z0-9_\s*]+?)\s*\*/", file.read())[1].replace(
            "*", "").split()


@unittest.skipUnless(shutil.which("spin"), "spin is not installed")
class TestModels(unittest.TestCase):
    def setUp(self):
        self.notes = []

    def check_model(self, name):
        said = check(name)
        self.assertIn("errors: 0", said)
        self.assertIn("Full statespace search", said)
        self.assertNotRegex(said, "Search not completed|max search depth too small|out of memory")
        states = re.search(r"(\d+) states, stored", said)
        self.notes.append(f"{name}: {states[1]} states")

    def test_verify(self):
        self.check_model("verify")

    def test_sibling(self):
        self.check_model("sibling")

    def test_footprint(self):
        self.check_model("footprint")

    def test_stop(self):
        self.check_model("stop")

    def test_broken(self):
        """Each model finds what its switches break."""
        for path in sorted(glob.glob(os.path.join(MODELS, "*.pml"))):
            name = os.path.basename(path).removesuffix(".pml")
            broken = switches(name)
            self.assertTrue(broken)
            for switch in broken:
                with self.subTest(model=name, switch=switch):
                    self.assertRegex(check(name, switch), r"errors: [1-9]")
            self.notes.append(f"{name}: {', '.join(broken)}")
