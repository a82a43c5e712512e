# SPDX-License-Identifier: GPL-2.0-only
"""A whole SNP guest on the emulated host: Debian's QEMU and OVMF, a kernel, and
a shell that is talked to on the guest's serial console."""

import os
import re
import shlex
import time

import host as hosts
import machine

# Kernels of guests, as paths in the host: Debian's own and the one built here.
DEBIAN, OURS = "/guest/vmlinuz", "/guest/bzImage"

HOSTS = {
    "ours": {"kernel": machine.KERNEL,
             "initrd": os.path.join(machine.BUILD, "guest-initrd")},
    "stock": {"kernel": os.path.join(machine.BUILD, "stock-vmlinuz"),
              "initrd": os.path.join(machine.BUILD, "stock-guest-initrd")},
}

# What the guest's console shows, in this order, and what that means.
STEPS = ((r"\x1b\[|BdsDxe|EFI stub", "OVMF has validated the memory and runs"),
         (r"EFI stub: ", "the guest kernel starts"),
         (r"guest# ", "the guest has a shell"))

# QEMU's words when a guest has ended in a way that it does not know.
BROKEN = r"(?:KVM: |error: kvm run failed)"


def host(name, which="ours", **options):
    return hosts.Host(name, cores=2, threads=2, **HOSTS[which], **options)


class Guest:
    """One guest, from start to power-off: run()."""

    def __init__(self, on, kernel=DEBIAN, vcpus=1, mem=256, snp=True, cpu="EPYC-v4",
                 say=lambda text: None):
        self.host = on
        self.log = on.log.replace(".log", f".guest{vcpus}.log")
        self.say = say
        self.console = ""
        self.steps = list(STEPS)
        self.lines = ["report\n", "poweroff -f\n"]
        self.command = self._command(kernel, vcpus, mem, snp, cpu)

    def _command(self, kernel, vcpus, mem, snp, cpu):
        append = "console=ttyS0 panic=-1" + ("" if os.environ.get("V") == "1" else " loglevel=4")
        command = ["/guest/lib/ld.so", "--library-path", "/guest/lib",
                   "/guest/bin/qemu-system-x86_64", "-L", "/guest/share", "-accel", "kvm",
                   "-cpu", cpu, "-smp", str(vcpus), "-m", f"{mem}M", "-machine",
                   "q35,memory-backend=ram" + (",confidential-guest-support=sev" if snp else ""),
                   "-object", f"memory-backend-memfd,id=ram,size={mem}M,share=true,prealloc=false",
                   "-bios", "/guest/share/OVMF.fd", "-nodefaults", "-display", "none",
                   "-no-reboot", "-chardev", "stdio,id=console,signal=off,mux=on",
                   "-serial", "chardev:console", "-kernel", kernel,
                   "-initrd", "/guest/initrd.gz", "-append", append]
        if snp:
            command += ["-object",
                        "sev-snp-guest,id=sev,cbitpos=51,reduced-phys-bits=5,policy=0x30000"]
        return command

    def _talk(self, data):
        """Follow the console; type a line at each prompt."""
        with open(self.log, "ab") as log:
            log.write(data)
        self.console += data.decode(errors="replace")
        for number, (sign, text) in reversed(list(enumerate(self.steps))):
            if re.search(sign, self.console[self.seen:]):
                self.say(text)
                self.steps = self.steps[number + 1:]
                break
        # QEMU stays, stopped; this is its key to leave.
        if re.search(BROKEN, self.console) and not self.broken:
            self.broken = True
            return b"\x01x"
        answer = b""
        if self.lines and "guest# " in self.console[self.seen:]:
            self.seen = len(self.console)
            answer = self.lines.pop(0).encode()
        return answer

    def run(self, timeout=170):
        """Boot, have the guest report, power it off; returns what it reported."""
        self.seen, self.broken = 0, False
        open(self.log, "wb").close()
        status, _ = self.host.sh(
            f"{{ {shlex.join(self.command)} < /dev/ttyS1 2>&1; echo $? > /tmp/status; }} | cat;"
            "( exit $(cat /tmp/status) )", timeout=timeout, check=False, talk=self._talk)
        if status or self.lines:
            last = (re.findall(BROKEN + ".*", self.console) or
                    self.console.strip().splitlines() or ["nothing"])[-1:]
            raise RuntimeError(f"the guest's QEMU ended with status {status} before the guest "
                               f"{'had a shell' if self.steps else 'was done'}: it said "
                               f"'{last[0]}'; see {self.log}")
        self.say("the guest has powered off")
        return self.report()

    def report(self):
        """The lines about encryption, and the values, that the guest printed."""
        text = self.console.replace("\r", "")
        values = dict(re.findall(r"^(kernel|online|vmpl)=(.*)$", text, re.M))
        values["lines"] = [line for line in text[text.rfind("report"):].splitlines()
                           if re.search(r"Memory Encryption|SEV: |Brought up|sev-guest", line)]
        return values


class Page:
    """Lines with the time since the start."""

    def __init__(self):
        self.begin = time.monotonic()

    def __call__(self, text):
        print(f"{time.monotonic() - self.begin:4.0f} s  {text}", flush=True)


def demo(which, vcpus):
    say = Page()
    say(f"booting the {'host with the series' if which == 'ours' else 'unmodified Debian host'}")
    with host("guest", which) as on:
        say(f"the host is up: Linux {on.sh('uname -r')}")
        if which == "ours":
            on.wait_settled()
            before = on.read("optimized")
            say(f"regions optimized on every core: {before}")
        guest = Guest(on, vcpus=vcpus, say=say)
        say(f"starting Debian's QEMU with an SNP guest of {vcpus} vCPU{'s' * (vcpus > 1)}")
        report = guest.run()
        if which == "ours":
            on.wait_optimized(before)
            say("all of its regions are back on every core")
        splats = on.splats()
        status = on.poweroff()
        say("the host has powered off")
    print()
    for line in [f"Linux {report['kernel']}", *report["lines"],
                 f"CPUs online: {report['online']}   VMPL: {report['vmpl']}"]:
        print(f"   {line}")
    print(f"\n   the guest's console: {os.path.relpath(guest.log)}   the host's: "
          f"{os.path.relpath(on.log)}")
    return verdict(report, vcpus, splats, status, on)


def verdict(report, vcpus, splats, status, on):
    wrong = [f"the kernel complained: {line}" for line in splats]
    if not any("SEV-SNP" in line for line in report["lines"] if "Memory Encryption" in line):
        wrong.append("the guest does not say that SEV-SNP is active")
    if report["online"] != ("0" if vcpus == 1 else f"0-{vcpus - 1}"):
        wrong.append(f"the guest has CPUs {report['online']}")
    if status:
        wrong.append(f"QEMU ended with status {status}")
    for line in wrong:
        print(f"rmpopt: {line}; see {on.log}")
    return 1 if wrong else 0
