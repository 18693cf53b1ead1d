"""Whether a store can be trusted: who owns and who can write the file, its folder, and the files beside it.

Anyone who can write a store decides what the next ``batchq run`` executes; so does anyone who can put a log beside it,
which SQLite takes over when it opens the store. The rule is that of StrictModes in OpenSSH's sshd.
"""

import os

from batchq.errors import StoreError

SIDE_FILES = ("-wal", "-shm", "-journal", "-lock")
LOCK_SIZE = 32  #: bytes of a lock file at most


def check_file(path: str, facts: os.stat_result, *, reading: bool, trust_owner: bool | None = None) -> list[str]:
    """Refuse a store that is not a file, or that others can write; returns what deserves a warning otherwise.

    A store belongs to its user or to root, and nobody else may write it. Commands that only read it warn instead.
    ``trust_owner`` decides about a store of another user: True accepts it, False refuses it, also to root; None lets
    root change it.
    """
    if facts.st_mode & 0o170000 != 0o100000:
        raise StoreError(f"{path} is no batchq store (not a file)")
    if facts.st_size == 0:
        raise StoreError(f"{path} is no batchq store (an empty file); delete it to have a store made there")
    warnings = []
    mode = facts.st_mode & 0o7777
    accepted = reading or trust_owner or (trust_owner is None and os.geteuid() == 0)
    if facts.st_uid not in (os.geteuid(), 0):
        warnings.append(foreign(path, facts.st_uid))
        if not accepted:
            raise StoreError(f"{warnings[0]}, or say --trust-owner")
    if mode & 0o022:
        warnings.append(f"others can write {path} (mode {mode:04o}) and decide what it runs; chmod go-w {path}")
        if not reading:
            raise StoreError(warnings[-1])
    if (stranger := check_folder(path, facts.st_uid)) is not None:
        folder = os.path.dirname(path)
        warnings.append(f"the folder {folder} belongs to another user (uid {stranger}), who can replace {path}")
        if not accepted:
            raise StoreError(f"{warnings[-1]}; keep your store elsewhere, or say --trust-owner")
    check_side_files(path, facts.st_uid)
    if facts.st_nlink > 1:
        warnings.append(
            f"{path} has {facts.st_nlink} hard links; opened under another name it would be torn to pieces: "
            "the log and the locks lie beside one name"
        )
    return warnings


def foreign(path: str, owner: int) -> str:
    """The sentence for a store of another user."""
    return f"{path} belongs to another user (uid {owner}), who decides what it runs; use your own"


def check_folder(path: str, owner: int) -> int | None:
    """Refuse a folder in which others can put a log beside the store of ``owner``; its own owner if a third user.

    In a folder like /tmp nobody can replace the files of others (the sticky bit); what is not there yet is made by
    ``occupy`` before SQLite looks for it.
    """
    folder = os.path.dirname(path)
    facts = os.stat(folder)
    mode = facts.st_mode & 0o7777
    if mode & 0o022 and not mode & 0o1000 and not (mode & 0o022 == 0o020 and _is_private(facts.st_gid, owner)):
        raise StoreError(
            f"others can write the folder {folder} (mode {mode:04o}) and put a log beside {path} that decides what it"
            f" runs; chmod go-w {folder}"
        )
    return facts.st_uid if facts.st_uid not in (owner, os.geteuid(), 0) else None


def check_side_files(path: str, owner: int) -> None:
    """Refuse a log, an index of a log, a journal or a lock file that is not the store owner's own, or not a file.

    Those of this user are made writable for him again.
    """
    for suffix in SIDE_FILES:
        beside = path + suffix
        try:
            facts = os.lstat(beside)
        except FileNotFoundError:
            continue
        if facts.st_mode & 0o170000 != 0o100000:
            raise StoreError(f"{beside} is not a plain file: batchq did not make it; remove it")
        if facts.st_uid not in (owner, 0):
            raise StoreError(
                f"{beside} belongs to uid {facts.st_uid}, {path} to uid {owner}: somebody else put it there; remove it"
            )
        # Other names of it are other files to somebody. The lock file has two for a moment, during a restore.
        if facts.st_size > LOCK_SIZE if suffix == "-lock" else facts.st_nlink > 1:
            raise StoreError(
                f"{beside} is also another file ({facts.st_nlink} hard links, {facts.st_size:,} bytes), which would be"
                f" overwritten; put a copy in its place if it belongs to {path}, else remove it"
            )
        if facts.st_mode & 0o022:
            mode = facts.st_mode & 0o7777
            raise StoreError(
                f"others can write {beside} (mode {mode:04o}), which is part of the store; chmod go-w {beside}"
            )
        _let_owner_in(beside, facts)


def occupy(path: str, owner: int) -> bool:
    """Where others can make files in the store's folder, make the files that SQLite will look for before they do.

    Empty ones say nothing to SQLite. Whether this is such a folder: what is there must then be looked at again once
    the store is open, because the last process to close a store deletes its log.
    """
    if not os.stat(os.path.dirname(path)).st_mode & 0o022:
        return False
    for suffix in ("-wal", "-shm", "-journal"):
        try:
            if (fd := make_for(path + suffix, owner)) is not None:
                os.close(fd)
        except OSError:
            pass  # SQLite says it better, if it matters
    check_side_files(path, owner)
    return True


def make_for(path: str, owner: int) -> int | None:
    """Make an empty file that belongs to the store's owner (mode 0600), unless there is one; its descriptor."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return None
    if os.geteuid() == 0 and owner != 0:
        os.fchown(fd, owner, -1)
    return fd


def _let_owner_in(path: str, facts: os.stat_result) -> None:
    """Give a user back the right to write a file beside his store.

    SQLite makes them with the mode of the store, also where that is read-only for the moment, and they may stay.
    """
    if facts.st_uid == os.geteuid() and not facts.st_mode & 0o200:
        try:
            os.chmod(path, facts.st_mode & 0o7777 | 0o600)
        except OSError:
            pass  # it lies where nothing can be changed


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
