# SPDX-License-Identifier: GPL-2.0-only
"""What others get: the series as mails, and its documents."""

import email
import email.policy
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import machine
from tests.trees import LINUX, base, git

DOCUMENT = "Documentation/virt/kvm/x86/amd-rmpopt.rst"
ABI = "Documentation/ABI/testing/sysfs-devices-system-cpu-rmpopt"
NAME, ADDRESS = "Zoë Throwaway", "zoe@example.org"


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **options)


def identity(name, address):
    """An environment in which git's configuration has this and nothing else."""
    return dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
                GIT_CONFIG_COUNT="2", GIT_CONFIG_KEY_0="user.name", GIT_CONFIG_VALUE_0=name,
                GIT_CONFIG_KEY_1="user.email", GIT_CONFIG_VALUE_1=address)


def export(directory, name=NAME, address=ADDRESS, **variables):
    return run(os.path.join(machine.TOP, "scripts", "series"), directory,
               env=dict(identity(name, address), **variables))


def touched():
    """The files that the series has or edits."""
    return git("diff", "--name-only", base(), "HEAD").splitlines()


class TestExport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.done = export(os.path.join(cls.directory.name, "series"))
        cls.files = sorted(glob.glob(os.path.join(cls.directory.name, "series", "*.patch")))
        cls.mails = []
        for name in cls.files:
            with open(name, "rb") as file:
                cls.mails.append(email.message_from_binary_file(file, policy=email.policy.default))

    def setUp(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)

    def test_git_am_gives_the_tested_tree(self):
        """All but the line in MAINTAINERS that names who exports."""
        self.assertIn("byte for byte", self.done.stdout)
        clone = os.path.join(self.directory.name, "linux")
        git("clone", "-q", "--shared", "--no-checkout", LINUX, clone)
        git("update-ref", "--no-deref", "HEAD", base(), tree=clone)
        git("read-tree", base(), tree=clone)
        git("am", "-q", "--empty=drop", *self.files, tree=clone, env=identity(NAME, ADDRESS))
        tested = git("rev-parse", "HEAD")
        changed = git("diff", "-U0", tested, "HEAD", tree=clone).splitlines()
        self.assertEqual([line for line in changed if re.match(r"[-+](?![-+]{2} )", line)],
                         [f"+M:\t{NAME} <{ADDRESS}>"])
        subjects = git("log", "--format=%s", f"{base()}..HEAD", tree=clone)
        self.assertEqual(subjects, git("log", "--format=%s", f"{base()}..HEAD"))

    def test_mails_can_be_sent(self):
        count = int(git("rev-list", "--count", f"{base()}..HEAD"))
        self.assertEqual(len(self.files), count + 1)
        self.assertEqual(os.path.basename(self.files[0]), "0000-cover-letter.patch")
        for number, mail in enumerate(self.mails):
            self.assertTrue(mail["Subject"].startswith(f"[PATCH v1 {number:02}/{count}] "),
                            mail["Subject"])

    def test_cover_letter(self):
        text = self.mails[0].get_content()
        self.assertNotRegex(text, r"\*\*\*|@[A-Z]+@")
        for words in ("Theory of operation", "Results\n", "No measurement is included",
                      "Nothing of this was run on hardware", "differs from the public series",
                      "files changed, "):
            self.assertTrue(words in text, words)
        basis = git("log", "--format=%H", "--diff-filter=A", "--", "arch/x86/virt/svm/rmpopt-sysfs.c")
        count = git("rev-list", "--count", f"{base()}..{basis}")
        self.assertIn(f"Patches 1 to {count} are the optimization", text)
        for line in text.partition(" (")[0].splitlines():
            self.assertLessEqual(len(line), 75, line)

    def test_only_the_caller_is_named(self):
        me = f"{NAME} <{ADDRESS}>"
        for name, mail in zip(self.files, self.mails):
            text = mail.get_content()
            self.assertEqual(str(mail["From"]), me)
            self.assertEqual(re.findall(r"^[\w-]+-by: (.*)$", text, re.M),
                             [] if mail is self.mails[0] else [me], name)
        people = {"rmpopt <rmpopt>"}
        if os.path.exists(os.path.join(machine.TOP, ".git")):
            for who in git("log", "--format=%an%n%ae%n%cn%n%ce", tree=machine.TOP).splitlines():
                people.add(who)
        for name in self.files:
            with open(name, encoding="utf-8") as file:
                patch = file.read()
            self.assertEqual([who for who in people if who in patch], [], name)

    def letter_with_results(self, tree):
        """A second version, with measurements of a tree; the words are no result of
        anything."""
        for name in "bench", "containment":
            for kind, words in (("json", f'{{\n "series": "{tree}"\n}}\n'),
                                ("md", f"| these words of {name} |\n")):
                with open(os.path.join(self.directory.name, f"{name}.{kind}"), "w") as file:
                    file.write(words)
                self.addCleanup(os.remove, file.name)
        series = os.path.join(self.directory.name, "again")
        done = export(series, REROLL="2")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(series, "0000-cover-letter.patch"), encoding="utf-8") as file:
            return file.read()

    def test_results_of_another_version(self):
        text = self.letter_with_results("0" * 40)
        self.assertIn("No measurement", text)
        self.assertNotIn("these words", text)

    def test_results(self):
        text = self.letter_with_results(git("rev-parse", "HEAD^{tree}").strip())
        for words in (r"^Subject: \[PATCH v2 00/", r"^Measured by .make bench. on \d+-\d+-\d+",
                      r"^\| these words of bench \|$", r"^Measured by .make containment. on ",
                      r"^\| these words of containment \|$"):
            self.assertTrue(re.search(words, text, re.M), words)
        self.assertFalse("No measurement" in text)

    def test_somebody_has_to_sign_off(self):
        for name, address in ("", ADDRESS), (NAME, ""), (NAME, "zoe"):
            with tempfile.TemporaryDirectory() as directory:
                done = export(directory, name, address)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("git config --global user.email", done.stderr)
                self.assertEqual(os.listdir(directory), [])


class TestDocuments(unittest.TestCase):
    def python(self, tool, *words):
        return run("/usr/bin/python3", "-B", os.path.join(LINUX, "tools", "docs", tool), *words,
                   cwd=LINUX,
                   env=dict(os.environ, PATH="/usr/bin:" + os.environ["PATH"], srctree=".",
                            KBUILD_VERBOSE="0", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8"))

    def test_sphinx(self):
        if not shutil.which("sphinx-build"):
            self.skipTest("there is no sphinx-build: install python3-sphinx")
        with tempfile.TemporaryDirectory() as output:
            done = self.python("sphinx-build-wrapper", "htmldocs", "--sphinxdirs", "virt/kvm/x86",
                               "--builddir", output)
            self.assertEqual(done.returncode, 0, done.stderr)
            # Others' files have warnings of their own.
            said = (done.stdout + done.stderr).splitlines()
            self.assertEqual([line for line in said if any(name in line for name in touched())], [])
            html = glob.glob(output + "/**/amd-rmpopt.html", recursive=True)
            self.assertEqual(len(html), 1, said)
            with open(os.path.join(os.path.dirname(html[0]), "index.html")) as index:
                self.assertTrue('href="amd-rmpopt.html"' in index.read())

    def test_kernel_doc(self):
        files = [name for name in touched() if "rmpopt" in name and name.endswith((".c", ".h"))]
        done = self.python("kernel-doc", "-none", "-Wall", "-Werror", *files)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_abi(self):
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(os.path.join(directory, "testing"))
            shutil.copy(os.path.join(machine.TOP, ABI), os.path.join(directory, "testing"))
            done = self.python("get_abi.py", "--dir", directory, "validate")
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
            done = self.python("get_abi.py", "--dir", directory, "search", "rmpopt/control")
            self.assertIn("forceoff", done.stdout)

    def test_document_agrees_with_the_code(self):
        def read(name):
            with open(os.path.join(LINUX, name)) as file:
                return file.read()

        text = read(DOCUMENT)
        reasons = re.findall(r'(?:return|missing =) "(.*)"', read("arch/x86/virt/svm/rmpopt.c"))
        self.assertGreaterEqual(len(reasons), 5)
        files = re.findall(r"&dev_attr_(?!cpu_)(\w+)", read("arch/x86/virt/svm/rmpopt-sysfs.c"))
        events = re.findall(r"(?:TRACE_EVENT\(|DEFINE_EVENT\(\w+,\s*)(\w+)",
                            read("arch/x86/include/asm/trace/rmpopt.h"))
        self.assertEqual([words for words in reasons + files + events
                          if f"``{words}``" not in text], [])
        budget = re.search(r"TICK_BUDGET\s+(\d+)", read("arch/x86/virt/svm/rmpopt-spread.c"))[1]
        self.assertTrue(f"at most {budget} regions" in text, budget)
        for name in re.findall(r"(?:Documentation|arch|tools)/[\w./-]*\w", text):
            self.assertTrue(os.path.exists(os.path.join(LINUX, name)), name)
        ours = [name for name in touched() if re.search("svm/(rmpopt|footprint)(?!.*kunit)", name)]
        self.assertEqual([name for name in ours if name.endswith(".c") and name not in text], [])

    def test_maintainers(self):
        """Every file of RMPOPT is in the section."""
        with open(os.path.join(LINUX, "MAINTAINERS"), encoding="utf-8") as file:
            section = re.search(r"^AMD RMPOPT\n(.*?)\n\n", file.read(), re.M | re.S)[1]
        patterns = re.findall(r"^F:\t(.*)$", section, re.M)
        found = {name for pattern in patterns
                 for name in glob.glob(pattern, root_dir=LINUX)}
        new = git("diff", "--name-only", "--diff-filter=A", base(), "HEAD").splitlines()
        self.assertEqual({name for name in new if "rmpopt" in name or "footprint" in name} - found,
                         set())
        for pattern in patterns:
            self.assertTrue(glob.glob(pattern, root_dir=LINUX), pattern)
