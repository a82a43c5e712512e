# SPDX-License-Identifier: GPL-2.0-only
"""The emulated SNP host: its QEMU command line, its console, its monitor, and
what to do when it stops making progress.

Every boot of the bench goes through Machine, so that a person's `make boot`
and the tests see the same machine.
"""

import atexit
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build")
LOGS = os.path.join(TOP, "out", "logs")
CACHE = os.environ.get("RMPOPT_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "rmpopt")

QEMU = os.path.join(BUILD, "qemu", "out", "qemu-system-x86_64")
KERNEL = os.path.join(BUILD, "linux", "out", "arch/x86/boot/bzImage")
INITRD = os.path.join(BUILD, "initrd.gz")
ROMS = ["-L", os.path.join(CACHE, "tools", "usr", "share", "seabios"),
        "-L", os.path.join(CACHE, "tools", "usr", "share", "qemu")]

# A real kernel says something or runs something within this time.
STALL_SECONDS = 60
# What takes long may take so many times longer: see kbuild.test_under().
SLOWER = 1

# Splats that fail whatever was running when they came.
SPLAT = re.compile(r"WARNING: |BUG: |Oops|rcu.*(stall|kthread starved)|soft lockup|"
                   r"hung_task|blocked for more than|Kernel panic|RMP violation|"
                   r"general protection fault|Call Trace:|UBSAN: |unchecked MSR access")

# Linux stops all other CPUs at once, and marks them offline one by one: one that still runs
# may wake a task on one that does not.
STOPPING = re.compile(r"(?<=reboot: Power down\n)(?:.*\n)?.*WARNING: kernel/sched/core\.c:\d+ at "
                      r"set_task_cpu(?:.*\n)*?.*---\[ end trace .*")

# A report of KCSAN, up to the line that ends it; what is in it, but says only whom an
# interrupt came to or who found it; and what is in the rest if it is ours
KCSAN = re.compile(r"BUG: KCSAN: (?:.*\n)*?.*={50,}")
BYSTANDERS = re.compile(r" asm_\w+\+(?:.*\n)*?.*\] *\n|Reported by (?:.*\n)*.*")
OURS = re.compile("rmpopt|footprint|rmpupdate|snp_|sev_gmem|kvm_gmem")


class Hang(Exception):
    """The guest made no progress, or not enough in its time."""


def hardware(cores=4, threads=2, nodes=1, mem="8G", cpu="", machine="", far="", snp=True):
    """QEMU's arguments for the machine itself: see Machine."""
    if cores % nodes:
        raise ValueError(f"CORES={cores} cannot be shared evenly by NODES={nodes}")
    size = mem_mib(mem) // nodes
    arguments = [
        "-machine", ",".join(filter(None, [
            "q35,hpet=off", "snp-host=on" if snp else "",
            f"snp-far-node={far}" if far else "", machine])),
        # TCG has 40 address bits, for 1TB, unless told otherwise.
        "-cpu", ",".join(filter(None, ["EPYC-Genoa", "check=off",
                                       "phys-bits=48" if far else "", cpu])),
        "-smp", f"{cores * threads},sockets={nodes},cores={cores // nodes},threads={threads}",
        "-m", mem,
    ]
    if snp:
        arguments += ["-device", "amd-iommu,intremap=on", "-device", "amd-psp,id=psp"]
    if nodes > 1:
        for node in range(nodes):
            arguments += ["-object", f"memory-backend-ram,id=ram{node},size={size}M",
                          "-numa", f"node,nodeid={node},memdev=ram{node}",
                          "-numa", f"cpu,node-id={node},socket-id={node}"]
    return arguments


class Machine:
    """One boot of a kernel in the emulator.

    name:   names the console's log, out/logs/NAME.log
    cpu:    more -cpu properties, such as "rmpopt=off"
    machine: more -machine properties, such as "rmp=contiguous"
    far:    where the last node's RAM begins, such as "3T"
    snp:    False for the same machine without SNP
    count:  the clock counts instructions, one for each ns; one CPU at a time, slow
    qemu:   another QEMU: its command and its -L options
    agent:  the guest runs our init, which takes commands on its second
            serial port (see sh())
    stdio:  the console is this terminal
    """

    def __init__(self, name="boot", kernel=None, initrd=None, append="",
                 cores=4, threads=2, nodes=1, mem="8G", cpu="", machine="",
                 far="", snp=True, count=False, qemu_args=(), agent=True, stdio=False,
                 qemu=(QEMU, *ROMS)):
        self.name = name
        self.log = os.path.join(LOGS, name + ".log")
        self.agent = agent
        self.stdio = stdio
        self.dir = os.path.join(tempfile.gettempdir(), f"rmpopt.{os.getpid()}.{id(self):x}")
        self.process = self.qmp = self.serial = None
        self.seen = 0
        self.command = self._command(
            kernel or KERNEL, initrd or INITRD, append, stdio, qemu,
            [*(("-accel", "tcg,thread=single", "-icount", "shift=0") if count else
               ("-accel", "tcg,thread=multi")),
             *hardware(cores, threads, nodes, mem, cpu, machine, far, snp)])
        self.command += qemu_args

    def _command(self, kernel, initrd, append, stdio, qemu, arguments):
        # A busy PC may not run the emulated CPUs for longer than the kernel waits for
        # a tick, which then says that the timer does not work, and panics.
        cmdline = "console=ttyS0 panic=-1 no_timer_check " + ("rmpopt.agent " if self.agent else "") + append
        command = [
            *qemu, "-name", "rmpopt,debug-threads=on", "-nodefaults", "-display", "none",
            "-no-reboot", *arguments,
            "-kernel", kernel, "-initrd", initrd, "-append", cmdline.strip(),
            "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off",
        ]
        if stdio:
            command += ["-chardev", f"stdio,id=console,mux=on,signal=off,logfile={self.log}",
                        "-mon", "chardev=console,mode=readline"]
        else:
            command += ["-chardev", f"file,id=console,path={self.log}"]
        command += ["-serial", "chardev:console"]
        if self.agent:
            command += ["-serial", f"unix:{self.dir}/agent,server=on,wait=off"]
        return command

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- life ----

    def start(self):
        os.makedirs(LOGS, exist_ok=True)
        os.mkdir(self.dir, 0o700)
        open(self.log, "wb").close()
        # Whoever is interrupted leaves no QEMU behind.
        atexit.register(self.stop)
        with open(self.log + ".qemu", "wb") as messages:
            self.process = subprocess.Popen(self.command, stdin=None if self.stdio else
                                            subprocess.DEVNULL, stderr=messages)
        self.progress_at = time.monotonic()
        self.progress_was = None
        if self.agent:
            self.serial = self._connect("agent")
            self.sh(None, timeout=180)

    def _connect(self, name):
        """Connect to a socket of QEMU's, which makes it while it starts."""
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(os.path.join(self.dir, name))
                return sock
            except (FileNotFoundError, ConnectionRefusedError):
                sock.close()
                try:
                    self.process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                raise RuntimeError(f"QEMU did not start (status {self.process.returncode}): "
                                   + self.messages())

    def wait(self, timeout=None):
        """Wait for QEMU to end by itself and return its status."""
        deadline = timeout and time.monotonic() + timeout * SLOWER
        while True:
            try:
                status = self.process.wait(1)
                self.stop()
                return status
            except subprocess.TimeoutExpired:
                self.check_progress(deadline)

    def stop(self):
        atexit.unregister(self.stop)
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.serial:
            self.serial.close()
        if self.qmp:
            self.qmp.close()
            self.qmp = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def messages(self):
        """What QEMU itself had to say."""
        with open(self.log + ".qemu", errors="replace") as messages:
            return messages.read().strip()

    # ---- no progress ----

    def _progress(self):
        """What changes while a guest lives: its console, its vCPUs' run time."""
        ran = 0
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            try:
                with open(f"{tasks}/{task}/comm") as comm:
                    if not comm.read().startswith(("CPU ", "ALL CPUs")):
                        continue
                with open(f"{tasks}/{task}/schedstat") as stat:
                    ran += int(stat.read().split()[0])
            except FileNotFoundError:
                continue
        return os.path.getsize(self.log), ran

    def check_progress(self, deadline=None):
        """Raise Hang, with a full report in the log, when the guest is stuck."""
        now = time.monotonic()
        try:
            progress = self._progress()
        except FileNotFoundError:
            return
        if progress != self.progress_was:
            self.progress_was, self.progress_at = progress, now
        if deadline and now > deadline:
            why = "took longer than it may"
        elif now - self.progress_at > STALL_SECONDS:
            why = f"made no progress for {STALL_SECONDS} s"
        else:
            return
        if why != "took longer than it may" and self.paused():
            self.progress_at = now
            return
        self.dump(why)
        self.stop()
        raise Hang(f"{self.name} {why}; QEMU's threads and the guest's registers are at "
                   f"the end of {self.log}")

    def paused(self):
        """Whether somebody stopped the guest, in the monitor say."""
        return self.query("query-status", timeout=10)["status"] != "running"

    def dump(self, why):
        """Append the backtraces of QEMU and the state of the guest to the log."""
        with open(self.log, "ab", buffering=0) as log:
            log.write(f"\n==== {self.name} {why} ====\n".encode())
            subprocess.run(["gdb", "-nx", "-batch", "-p", str(self.process.pid),
                            "-ex", "thread apply all backtrace"],
                           stdin=subprocess.DEVNULL, stdout=log,
                           stderr=subprocess.STDOUT, check=False)
            for command in ("info registers -a", "info lapic", "info snp"):
                log.write(f"\n(qemu) {command}\n".encode())
                try:
                    log.write(self.monitor(command, timeout=10).encode())
                except Exception as error:  # a report goes on with what it can get
                    log.write(f"no answer: {error!r}\n".encode())

    # ---- monitor ----

    def query(self, command, timeout=60, **arguments):
        """A QMP command's result."""
        if not self.qmp:
            sys.path.insert(0, os.path.join(BUILD, "qemu", "python"))
            from qemu.qmp.legacy import QEMUMonitorProtocol
            self.qmp = QEMUMonitorProtocol(os.path.join(self.dir, "qmp"))
            self.qmp.connect()
        self.qmp.settimeout(timeout)
        return self.qmp.cmd(command, **arguments)

    def monitor(self, line, timeout=60):
        return self.query("human-monitor-command", timeout, **{"command-line": line})

    def snp(self):
        """What the emulated hardware knows: query-snp."""
        return self.query("query-snp")

    def rmp_faults(self):
        """What the host wrote to and may not"""
        return sum(core["faults"] for core in self.snp()["cores"])

    # ---- guest ----

    def sh(self, command, timeout=60, check=True, talk=None):
        """Run a shell command in the guest and return its output.

        With None, just wait until the guest is ready for commands.  A command that
        has its input from /dev/ttyS1 can be talked to: talk() gets each piece of
        output as it comes, and returns what to send.
        """
        deadline = time.monotonic() + timeout * SLOWER
        if command is not None:
            self.serial.sendall(command.replace("\n", ";").encode() + b"\n")
        data = b""
        while not (end := re.search(rb"@@ (\d+)\r?\n\Z", data)):
            ready, _, _ = select.select([self.serial], [], [], 1)
            if ready:
                more = self.serial.recv(65536)
                if not more:
                    self.stop()
                    raise Hang(f"{self.name}: the guest went down; see {self.log}")
                data += more
                if talk:
                    self.serial.sendall(talk(more))
            self.check_progress(deadline)
        output = data[:end.start()].decode(errors="replace").replace("\r\n", "\n")
        if check and int(end.group(1)):
            raise RuntimeError(f"{self.name}: '{command}' failed with {int(end.group(1))}: "
                               f"{output.strip()}")
        return output.strip() if check else (int(end.group(1)), output.strip())

    def poweroff(self, timeout=60):
        self.serial.sendall(b"poweroff -f\n")
        return self.wait(timeout)

    def console(self):
        """All of the console so far."""
        with open(self.log, errors="replace") as log:
            return log.read()

    def splats(self):
        """Warnings on the console since the last call.

        KCSAN finds races everywhere: those that have to do with the series count.
        """
        text = self.console()
        new, self.seen = text[self.seen:], len(text)
        new = KCSAN.sub(lambda report: report[0] if OURS.search(BYSTANDERS.sub("", report[0]))
                        else "", new)
        new = STOPPING.sub("", new)
        return [line for line in new.splitlines() if SPLAT.search(line)]


def mem_mib(text):
    """'8G' or '4096M' in MiB."""
    match = re.fullmatch(r"(\d+)([MG])", text)
    if not match:
        raise ValueError(f"MEM={text} is not a size such as 8G or 4096M")
    return int(match[1]) * (1024 if match[2] == "G" else 1)


def regions(text):
    """A list such as '0,2-5' as a set."""
    found = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def ranges(numbers):
    """A set as a list such as '0,2-5', as the kernel prints it."""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
