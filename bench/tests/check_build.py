# SPDX-License-Identifier: GPL-2.0-only
"""'make check': the series in configurations, compilers and states other than the
one that the tests boot.  It takes long."""

import os
import re
import shutil
import unittest

import faults
import host as hosts
import kbuild
import machine
from tests import case, test_series
from tests.trees import base, git

# What makes each configuration another one than that of bench/kernel.config
CONFIGURATIONS = {
    "no_sev": ("CONFIG_KVM_AMD_SEV=n",),
    "modules": ("CONFIG_KVM=m", "CONFIG_KVM_AMD=m", "CONFIG_CRYPTO_DEV_CCP_DD=m"),
    "one_cpu": ("CONFIG_SMP=n",),
    "no_numa": ("CONFIG_NUMA=n",),
    "no_contig": ("CONFIG_TRANSPARENT_HUGEPAGE=n", "CONFIG_COMPACTION=n", "CONFIG_CMA=n"),
    "no_files": ("CONFIG_EXPERT=y", "CONFIG_DEBUG_FS=n", "CONFIG_SYSFS=n"),
    "no_tracing": ("CONFIG_FTRACE=n",),
    "no_kunit": ("CONFIG_KUNIT=n",),
    "i386": ("CONFIG_64BIT=n",),
}



class TestConfigurations(unittest.TestCase):
    """No build fails, and none warns of what the series added."""

    def check(self, *lines, start="tinyconfig", tools=kbuild.GCC, words=("W=1",)):
        build = kbuild.Build(self.id().rpartition(".test_")[2], tools=tools)
        # W=1 finds something in what was there, too.
        build.configure("CONFIG_KVM_WERROR=n", *lines, start=start)
        said = build.make(*words, *kbuild.OURS)
        self.assertEqual(build.complaints(said), [])
        return said

    def test_sparse(self):
        sparse = os.path.join(machine.CACHE, "sparse", "sparse")
        said = self.check(words=("W=1", "C=2", "CHECK=" + sparse))
        self.assertIn("  CHECK ", said)

    def test_clang(self):
        self.check(tools=kbuild.CLANG)

    def test_allmodconfig(self):
        self.check("CONFIG_WERROR=n", start="allmodconfig")


for name, lines in CONFIGURATIONS.items():
    setattr(TestConfigurations, f"test_{name}",
            lambda self, lines=lines: self.check(*lines))


class TestDebug(test_series.TestSeries):
    """The same tests with a kernel that looks for mistakes in locking and in life times."""

    @classmethod
    def setUpClass(cls, log=""):
        cls.options = {"kernel": kbuild.debug_kernel()}
        super().setUpClass(log)


class TestModules(case.HostCase):
    """ccp and KVM as modules: RMPOPT is in use while they are loaded."""

    settle = False

    @classmethod
    def setUpClass(cls, log=""):
        build = kbuild.Build("modules")
        build.configure(*CONFIGURATIONS["modules"])
        build.make("bzImage", "modules")
        cls.options = {"kernel": build.kernel, "initrd": build.initrd(), "mem": "12G",
                       "append": "numa=fake=1G"}
        super().setUpClass(log)

    def load(self):
        self.host.sh("modprobe kvm_amd", timeout=60)
        self.host.wait_settled()

    def check_vm(self):
        """Its memory comes from where the firmware, which is started anew, has none."""
        self.check_vm_life("-p 8 -n {},{},{}".format(*self.host.open_nodes()))

    def unload(self, *modules):
        """KVM shuts SNP down when it goes."""
        self.host.sh("rmmod kvm_amd kvm " + " ".join(modules), timeout=60)
        self.assertOff()

    def assertOff(self):
        self.assertEqual((self.host.read("control"), self.host.read("optimized")), ("on", ""))
        self.assertEqual(self.host.number("pending"), 0)
        for core in self.host.snp()["cores"]:
            self.assertFalse(core["enabled"])

    def test_load_and_unload(self):
        self.assertEqual((self.host.read("control"), self.host.read("optimized")), ("on", ""))
        for modules in (), ("ccp",), ():
            self.load()
            self.check_vm()
            self.unload(*modules)

    def test_storage_in_a_file(self):
        """The buffer of SEV's INIT_EX is the firmware's, too: it costs no region."""
        for inits in 1, 2:
            self.host.sh("modprobe ccp init_ex_path=/storage")
            self.load()
            self.assertOnlyTheRmpIsLost()
            self.check_vm()
            self.unload("ccp")
            # The firmware counts there; a file that is not there yet it refuses at first.
            self.assertEqual(self.host.sh("wc -c < /storage"), "32768")
            self.assertEqual(int(self.host.sh("od -A n -t d8 -j 8 -N 8 /storage")), inits)

    def test_unload_with_work_pending(self):
        """The rescan of the last VM outlives KVM."""
        for _ in range(3):
            self.load()
            self.start_vm().end()
            self.unload("ccp")
        self.assertNotRegex(self.host.sh("lsmod"), "kvm|ccp")

    def refuse(self, name, command):
        fault = faults.refusal(name, command)
        faults.arrange(self.host, fault.device, fault.settings)
        return fault

    def test_refused_initialization(self):
        """There is no SNP and nothing to optimize, until it is tried again."""
        fault = self.refuse("SNP_INIT_EX", 0x85)
        self.host.sh("modprobe kvm_amd", timeout=60)
        self.assertTrue(faults.reached(self.host, fault))
        self.assertOff()
        self.unload("ccp")
        self.load()
        self.check_vm()
        self.unload("ccp")

    def test_refused_shutdown(self):
        """SNP goes on, and RMPOPT with it."""
        self.load()
        fault = self.refuse("SNP_SHUTDOWN_EX", 0x86)
        self.host.sh("rmmod kvm_amd kvm", timeout=60)
        self.assertTrue(faults.reached(self.host, fault))
        self.host.wait_settled()
        self.host.sh("modprobe kvm_amd", timeout=60)
        self.check_vm()
        self.unload("ccp")

    def test_refused_flush(self):
        """KVM's of the ASIDs that VMs had; ccp asks for another one."""
        self.load()
        self.check_vm()
        fault = self.refuse("SNP_DF_FLUSH", 0x84)
        self.unload()
        self.assertTrue(faults.reached(self.host, fault))
        self.load()
        self.check_vm()
        self.unload("ccp")


class TestCoccinelle(unittest.TestCase):
    def test_coccicheck(self):
        build = kbuild.Build("coccicheck")
        build.configure()
        said = build.make("coccicheck", "MODE=report", "M=arch/x86/virt/svm")
        self.assertEqual(build.complaints(said), [])


class TestCommits(unittest.TestCase):
    """Each commit builds, boots, and lets an SNP VM come and go."""

    @classmethod
    def setUpClass(cls):
        cls.tree = os.path.join(machine.BUILD, "check", "tree")
        shutil.rmtree(cls.tree, ignore_errors=True)
        git("worktree", "prune")
        git("worktree", "add", "--detach", cls.tree, "HEAD")
        cls.addClassCleanup(git, "worktree", "remove", "--force", cls.tree)
        cls.build = kbuild.Build("commits", tree=cls.tree)

    def check(self, commit):
        git("checkout", "-q", "-f", "--detach", commit, tree=self.tree)
        self.build.configure()
        self.build.make("bzImage")
        with hosts.Host(self.id(), kernel=self.build.kernel, cores=2, threads=2) as host:
            host.start_vm().end()
            self.assertEqual(host.poweroff(), 0)
            self.assertFalse(host.splats())


for number, commit in enumerate(git("rev-list", "--reverse", f"{base()}..HEAD").split()):
    subject = re.sub(r"\W+", "_", git("log", "-1", "--format=%s", commit))
    setattr(TestCommits, f"test_{number + 1:02}_{subject}",
            lambda self, commit=commit: self.check(commit))
