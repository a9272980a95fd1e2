#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Asks the kernel for a ring, and runs a command if it gives one.

usage: uring.py [COMMAND [ARGS]]
Where io_uring is refused, one line says why and what to do, and the status is 77: skipped.
The kernel is asked directly, so that a library that fails to use a ring it could have is not
taken for a system without one.
"""
import ctypes
import errno
import os
import sys

IO_URING_SETUP = 425  # on every architecture but alpha
REMEDIES = {
    errno.ENOSYS: "the kernel has no io_uring (5.19 or newer is needed), or a sandbox hides it",
    errno.EPERM: "allow io_uring_setup, io_uring_enter and io_uring_register in the container's "
                 "seccomp profile, or set sysctl kernel.io_uring_disabled=0",
}
REMEDIES[errno.EACCES] = REMEDIES[errno.EPERM]


def refused():
    """The errno with which the system forbids rings, or 0. Shortages are no refusal."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
    if fd >= 0:
        os.close(fd)
        return 0
    error = ctypes.get_errno()
    return error if error in REMEDIES else 0


error = refused()
if error:
    print(f"io_uring is refused here ({os.strerror(error)}): {REMEDIES[error]}. "
          "ringo uses epoll, and tests of the ring are skipped.", flush=True)
    sys.exit(77)
if len(sys.argv) > 1:
    os.execvp(sys.argv[1], sys.argv[1:])
