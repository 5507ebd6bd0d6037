"""Exec a server so that it dies with its parent, as another user if asked. Run as a script.

    python -I -S launch.py PARENT_PID DEATH_SIGNAL UID GID -- PROGRAM ARGUMENT…

A process that is killed with SIGKILL cannot stop its children; the kernel does it for it when the
child has asked (PR_SET_PDEATHSIG). A launcher asks instead of code between fork and exec, which is
not safe in a process with threads. UID -1 keeps the user.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the program; exits 126 when the parent is gone already."""
    parent, signal, uid, gid = (int(argument) for argument in sys.argv[1:5])
    program = sys.argv[6:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After setuid, which clears it.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(126)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
