"""Whether a store can be trusted: who owns and who can write the file, its folder, and the files next to it.

Anyone who can write a store decides what the next ``batchq run`` executes. So does anyone who can put a log next to it,
which SQLite replays when it opens the store. The rule is that of StrictModes in OpenSSH's sshd.
"""

import os

from batchq.errors import StoreError

SIDE_FILES = ("-wal", "-shm", "-journal", "-lock")
LOCK_SIZE = 32  #: bytes of a lock file at most


def check_file(path: str, facts: os.stat_result, *, reading: bool, trust_owner: bool | None = None) -> list[str]:
    """Refuse a store that is not a file, or that others can write; return the warnings.

    A store must belong to its user or to root, and nobody else may write it. Commands that only read it warn instead.
    ``trust_owner`` decides about a store of another user: True accepts it, False refuses it, even to root; None lets root
    change it.
    """
    if facts.st_mode & 0o170000 != 0o100000:
        raise StoreError(f"{path} is not a batchq store (not a file)")
    if facts.st_size == 0:
        raise StoreError(f"{path} is not a batchq store (an empty file); delete it to have a store made there")
    warnings = []
    mode = facts.st_mode & 0o7777
    accepted = reading or trust_owner or (trust_owner is None and os.geteuid() == 0)
    if facts.st_uid not in (os.geteuid(), 0):
        warnings.append(foreign(path, facts.st_uid))
        if not accepted:
            raise StoreError(f"{warnings[0]}, or pass --trust-owner")
    if mode & 0o022:
        warnings.append(f"others can write {path} (mode {mode:04o}) and decide what it runs; chmod go-w {path}")
        if not reading:
            raise StoreError(warnings[-1])
    if (stranger := check_folder(path, facts.st_uid)) is not None:
        folder = os.path.dirname(path)
        warnings.append(f"the folder {folder} belongs to another user (uid {stranger}), who can replace {path}")
        if not accepted:
            raise StoreError(f"{warnings[-1]}; keep your store elsewhere, or pass --trust-owner")
    check_side_files(path, facts.st_uid)
    if facts.st_nlink > 1:
        warnings.append(
            f"{path} has {facts.st_nlink} hard links; opening it under another name would damage it: "
            "the log and the locks are next to one name only"
        )
    return warnings


def foreign(path: str, owner: int) -> str:
    """The message for a store of another user."""
    return f"{path} belongs to another user (uid {owner}), who decides what it runs; use your own"


def check_folder(path: str, owner: int) -> int | None:
    """Refuse a folder in which others can put a log next to the store of ``owner``; return its owner if a third user.

    In a folder like /tmp nobody can replace the files of others (the sticky bit); missing files are made by ``occupy``
    before SQLite looks for them.
    """
    folder = os.path.dirname(path)
    facts = os.stat(folder)
    mode = facts.st_mode & 0o7777
    if mode & 0o022 and not mode & 0o1000 and not (mode & 0o022 == 0o020 and _is_private(facts.st_gid, owner)):
        raise StoreError(
            f"others can write the folder {folder} (mode {mode:04o}) and put a log next to {path} that decides what it"
            f" runs; chmod go-w {folder}"
        )
    return facts.st_uid if facts.st_uid not in (owner, os.geteuid(), 0) else None


def check_side_files(path: str, owner: int) -> None:
    """Refuse a log, an index of a log, a journal or a lock file that is not a file of the store's owner.

    Read-only files of this user are made writable again.
    """
    for suffix in SIDE_FILES:
        side_file = path + suffix
        try:
            facts = os.lstat(side_file)
        except FileNotFoundError:
            continue
        if facts.st_mode & 0o170000 != 0o100000:
            raise StoreError(f"{side_file} is not a plain file: batchq did not make it; remove it")
        if facts.st_uid not in (owner, 0):
            raise StoreError(
                f"{side_file} belongs to uid {facts.st_uid}, {path} to uid {owner}: somebody else put it there; remove it"
            )
        # Under another name it may be another user's file. The lock file has two names for a moment, during a restore.
        if facts.st_size > LOCK_SIZE if suffix == "-lock" else facts.st_nlink > 1:
            raise StoreError(
                f"{side_file} is also another file ({facts.st_nlink} hard links, {facts.st_size:,} bytes), which would be"
                f" overwritten; put a copy in its place if it belongs to {path}, else remove it"
            )
        if facts.st_mode & 0o022:
            mode = facts.st_mode & 0o7777
            raise StoreError(
                f"others can write {side_file} (mode {mode:04o}), which is part of the store; chmod go-w {side_file}"
            )
        _let_owner_in(side_file, facts)


def occupy(path: str, owner: int) -> bool:
    """If others can make files in the store's folder, make the files that SQLite will look for before they do.

    SQLite ignores empty ones. Returns whether it is such a folder: the files must then be checked again once the store is
    open, because the last process to close a store deletes its log.
    """
    if not os.stat(os.path.dirname(path)).st_mode & 0o022:
        return False
    for suffix in ("-wal", "-shm", "-journal"):
        try:
            if (fd := make_for(path + suffix, owner)) is not None:
                os.close(fd)
        except OSError:
            pass  # if it matters, SQLite reports it better
    check_side_files(path, owner)
    return True


def make_for(path: str, owner: int) -> int | None:
    """Make an empty file that belongs to the store's owner (mode 0600), unless there is one; return its descriptor."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return None
    if os.geteuid() == 0 and owner != 0:
        os.fchown(fd, owner, -1)
    return fd


def _let_owner_in(path: str, facts: os.stat_result) -> None:
    """Make a file next to a user's store writable for that user again.

    SQLite makes these files with the mode of the store, even if it is read-only for a moment, and they may stay.
    """
    if facts.st_uid == os.geteuid() and not facts.st_mode & 0o200:
        try:
            os.chmod(path, facts.st_mode & 0o7777 | 0o600)
        except OSError:
            pass  # on a read-only file system


def _is_private(group: int, owner: int) -> bool:
    """Whether a group has no member but ``owner``, as with the private groups that many systems give each user."""
    if owner == 0:
        return False
    import grp
    import pwd

    try:
        user, members = pwd.getpwuid(owner), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and members.gr_name == user.pw_name and set(members.gr_mem) <= {user.pw_name}
