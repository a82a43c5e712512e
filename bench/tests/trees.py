# SPDX-License-Identifier: GPL-2.0-only
"""The git work trees build/linux and build/qemu."""

import os
import subprocess

import machine

LINUX = os.path.join(machine.BUILD, "linux")
QEMU = os.path.join(machine.BUILD, "qemu")


def git(*words, tree=LINUX, **options):
    """What a git command prints, without the white space at its ends."""
    return subprocess.run(["git", "-C", tree, *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=True, **options).stdout.strip()


def base(tree=LINUX):
    """The commit that is the pristine source."""
    with open(os.path.join(tree, ".git", "pristine")) as file:
        return file.read().strip()
