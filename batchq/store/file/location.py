"""Which store a command uses: ``--db``, ``$BATCHQ_DB``, the nearest ``batchq.db`` upwards, the user's own.

And on which file system it is: SQLite's log needs memory shared by processes, which no network file system provides.
"""

import os

from batchq import folder
from batchq.errors import CreateError, MissingError, StoreError, UsageError

NAME = "batchq.db"
ALLOW_NETWORK = "BATCHQ_ALLOW_NETWORK_FS"  #: set to anything: a store on a network file system, for one host only
NETWORK = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "afs", "ceph", "lustre", "gpfs", "beegfs", "orangefs",
    "pvfs2", "ocfs2", "gfs2", "coda", "ncpfs", "vboxsf", "vmhgfs", "prl_fs", "fuse",
)  # fmt: skip


def locate(explicit: str | None) -> str:
    """Return the absolute path of the store to use; it need not exist.

    Raises StoreError if the store was found, not named, and belongs to another user: it is refused, never skipped. That
    holds for root, too: a user who makes /tmp/batchq.db must not decide what root runs below /tmp.
    """
    if named := explicit or os.environ.get("BATCHQ_DB"):
        if named == ":memory:":
            raise UsageError("a store is a file, and ':memory:' is not one; for a file of that name write ./:memory:")
        path = os.path.expanduser(named)
        return resolved(folder.absolute(path))
    path = _upwards(folder.physical()) or own()
    found = resolved(path)
    require_ours(path, found)
    return found


def candidates() -> list[str]:
    """Return the stores that the lookup finds here with other options, or in another folder above; those that exist."""
    paths = [] if not (named := os.environ.get("BATCHQ_DB")) else [folder.absolute(os.path.expanduser(named))]
    here, below = folder.physical(), ""
    while here != below:
        paths.append(os.path.join(here, NAME))
        here, below = os.path.dirname(here), here
    return [resolved(path) for path in (*paths, own()) if os.path.exists(path)]


def is_own(path: str) -> bool:
    """Whether this is the user's own store, which is used where no other was named or found."""
    return path == resolved(own())


def is_named(explicit: str | None) -> bool:
    """Whether the store was named, by ``--db`` or $BATCHQ_DB: another command in this folder may not find it."""
    return bool(explicit or os.environ.get("BATCHQ_DB"))


def passed_over(explicit: str | None) -> str | None:
    """The nearest ``batchq.db`` if it is not used because the surrounding job names its own store."""
    if explicit or not os.environ.get("BATCHQ_TOKEN") or not (named := os.environ.get("BATCHQ_DB")):
        return None
    try:
        near = _upwards(os.getcwd())
        return near if near is not None and not os.path.samefile(near, named) else None
    except OSError:
        return None


def resolved(path: str) -> str:
    """Follow a symbolic link: the log and the locks are next to the real file, whatever name was used for it."""
    return os.path.realpath(path) if os.path.islink(path) else path


def look(path: str) -> os.stat_result | None:
    """Return the ``stat`` of a file; None if there is none. Raises CreateError if access is denied."""
    try:
        return os.stat(path)
    except PermissionError as error:
        raise CreateError(f"cannot look at {path}: {error.strerror}") from None
    except OSError:
        return None


def is_writable(path: str) -> bool:
    """Whether this process may write the store and make files next to it."""
    return os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)


def sync_folder(folder: str) -> None:
    """Sync the names in a folder to disk, as fsync does with the contents of a file."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _upwards(folder: str) -> str | None:
    while True:
        path = os.path.join(folder, NAME)
        if os.path.lexists(path):
            return path
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def require_ours(*paths: str) -> None:
    """Refuse a store that was found, or the link to it, if it belongs neither to this user nor to root."""
    for path in paths:
        try:
            owner = os.lstat(path).st_uid
        except OSError:
            continue
        if owner not in (os.geteuid(), 0):
            raise StoreError(f"{path} belongs to another user (uid {owner}); name your store with --db or BATCHQ_DB")


def own() -> str:
    """The path of the user's own store, in the home folder."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(data, "batchq", NAME)


def missing(path: str) -> MissingError:
    """Make the error for a store that does not exist, with the file that was perhaps meant."""
    import difflib

    folder, name = os.path.split(path)
    try:
        neighbours = [entry for entry in os.listdir(folder) if entry.endswith((".db", ".sqlite", ".sqlite3"))]
    except OSError:
        neighbours = []
    near = difflib.get_close_matches(name, neighbours, n=1)
    hint = f"did you mean {os.path.join(folder, near[0])}?" if near else "make one with 'batchq init' or 'batchq add'"
    return MissingError(f"there is no store at {path}; {hint}")


def allow_network(asked: bool) -> None:
    """Let this process and its children use a store on a network file system."""
    if asked:
        os.environ[ALLOW_NETWORK] = "1"


def require_local(path: str) -> bool:
    """Raise CreateError on a network file system, unless the user allowed it; return whether it is one."""
    kind = network_type(path)
    if kind is not None and not os.environ.get(ALLOW_NETWORK):
        raise CreateError(
            f"{path} is on a network file system ({kind}), where SQLite loses data; choose a local folder, or set "
            f"{ALLOW_NETWORK}=1 if only one host uses it"
        )
    return kind is not None


def network_type(path: str) -> str | None:
    """The type of the network file system on which a store is or will be; None if it is local or unknown."""
    try:
        with open("/proc/self/mountinfo", errors="surrogateescape") as file:
            mounts = file.read()
        folder = os.path.realpath(os.path.dirname(path))
        kind = file_system(mounts, folder, os.stat(folder).st_dev)
    except OSError:
        return None
    local = kind == "fuse.fuse-overlayfs"  # the root of a container
    return kind if not local and kind.partition(".")[0] in NETWORK else None


def file_system(mounts: str, folder: str, device: int) -> str:
    """Find the type of the file system that holds ``folder`` in the text of /proc/self/mountinfo; "" if unknown.

    By the device number, else (btrfs has numbers of its own) by the longest mount point above the folder.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    nearest, kind = "", ""
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split()
        if len(fields) < 5 or not source:
            continue
        if fields[2] == number:
            return source.split()[0]
        point = _unescaped(fields[4])
        if len(point) >= len(nearest) and f"{folder}/".startswith(point.rstrip("/") + "/"):
            nearest, kind = point, source.split()[0]
    return kind


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
