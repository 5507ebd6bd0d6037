"""The account that the embedded PostgreSQL runs as when we are root, which it refuses to be."""

import errno
import os
import pwd
import struct
import subprocess
from pathlib import Path

from storage.embedded.child_process import ServerUser
from storage.embedded.errors import CannotStart

USER_NAME = "tailrace"
_ACL = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_EXECUTE = 1


def find_server_user() -> ServerUser | None:
    """None unless we are root; else the system account `tailrace`, made if it is not there.

    Raises:
        CannotStart: the account cannot be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER_NAME)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home"]
        command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER_NAME]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=30)
            entry = pwd.getpwnam(USER_NAME)
        except (OSError, subprocess.SubprocessError, KeyError) as error:
            raise CannotStart(
                f"PostgreSQL does not run as root and the account {USER_NAME!r} could not be made"
                f" ({error}); make it by hand, or start Tailrace as an ordinary user"
            ) from error
    return ServerUser(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def let_pass(user: ServerUser, directory: Path) -> list[Path]:
    """Let `user` pass through every directory above `directory` (and it), and no more than pass.

    A home of mode 0700 gets one access-control entry for this user; its mode for others stays.
    Gives the directories that were changed.

    Raises:
        CannotStart: the file system knows no access-control lists.
    """
    changed = []
    for path in [*reversed(directory.parents), directory]:
        if _may_pass(user, path):
            continue
        try:
            os.setxattr(path, _ACL, _with_entry(path, user.uid))
        except OSError as error:
            raise CannotStart(
                f"user {user.name!r}, whom the database runs as, cannot pass through {path}"
                f" ({os.strerror(error.errno or 0)}); allow it with `chmod o+x {path}`"
                " or keep Tailrace and its data elsewhere"
            ) from error
        changed.append(path)
    return changed


def _may_pass(user: ServerUser, path: Path) -> bool:
    status = path.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & 0o100)
    entries = _entries(path)
    # A later chmod of the group bits narrows the mask, and with it what every entry allows.
    mask = next((permissions for tag, permissions, _ in entries if tag == _MASK), _EXECUTE)
    for tag, permissions, number in entries:
        if tag == _USER and number == user.uid:
            return bool(permissions & mask & _EXECUTE)
    return bool(status.st_mode & (0o010 if status.st_gid == user.gid else 0o001))


def _entries(path: Path) -> list[tuple[int, int, int]]:
    try:
        raw = os.getxattr(path, _ACL)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return []
        raise
    return list(struct.iter_unpack("<HHI", raw[4:]))


def _with_entry(path: Path, uid: int) -> bytes:
    """The directory's access-control list with one more entry: `uid` may pass."""
    mode = path.stat().st_mode
    entries = _entries(path) or [
        (_USER_OBJ, mode >> 6 & 7, _NO_ID),
        (_GROUP_OBJ, mode >> 3 & 7, _NO_ID),
        (_OTHER, mode & 7, _NO_ID),
    ]
    mask = _EXECUTE
    for tag, permissions, _ in entries:
        if tag in (_USER, _GROUP_OBJ, 0x08):
            mask |= permissions
    kept = [e for e in entries if e[0] != _MASK and not (e[0] == _USER and e[2] == uid)]
    kept += [(_USER, _EXECUTE, uid), (_MASK, mask, _NO_ID)]
    kept.sort(key=lambda e: (e[0], e[2]))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in kept)
