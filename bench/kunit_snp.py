# SPDX-License-Identifier: GPL-2.0-only
"""The emulated SNP host for the kernel's kunit.py, which takes the QEMU that is
first in PATH:

    PATH=$PWD/build/qemu/out:$PATH kunit.py run --arch=x86_64 \\
        --qemu_config=$PWD/bench/kunit_snp.py
"""

import os
import sys

from ..qemu_config import QemuArchParams

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # pylint: disable=wrong-import-position

QEMU_ARCH = QemuArchParams(linux_arch="x86_64",
                           kconfig="""
CONFIG_SERIAL_8250=y
CONFIG_SERIAL_8250_CONSOLE=y""",
                           qemu_arch="x86_64",
                           kernel_path="arch/x86/boot/bzImage",
                           kernel_command_line="console=ttyS0",
                           extra_qemu_params=machine.hardware() + machine.ROMS)
