# SPDX-License-Identifier: GPL-2.0-only
"""More files in the initramfs that the tests boot."""

import subprocess

import machine


def add(directory, path, initrd=None):
    """Write to `path` an initramfs that also has what is in a directory; symbolic
    links are followed."""
    with open(initrd or machine.INITRD, "rb") as file, open(path, "wb") as new:
        new.write(file.read())
        new.write(bytes(-new.tell() % 4))	# the kernel wants archives aligned
        new.flush()
        subprocess.run("find . -mindepth 1 | sort | cpio --quiet -o -L -H newc -R 0:0",
                       shell=True, cwd=directory, stdout=new, check=True)
    return path
