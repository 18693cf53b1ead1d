"""``-o FILE``: a report as a file. Readers find the old file or the complete new one, even if the writer is killed."""

import errno
import os
import stat
from collections.abc import Iterable

from batchq import failpoints, folder
from batchq.draft import Draft
from batchq.errors import CreateError
from batchq.store.file.connection import Store
from batchq.store.file.location import sync_folder
from batchq.store.keeping.backup import refuse_store


def write(path: str, texts: Iterable[str], store: Store, mode: int) -> None:
    """Write ``texts`` to a file; an old one is replaced when the new one is complete and on disk.

    ``mode`` is that of the file, before the umask. The file of a symbolic link is replaced, not the link; a pipe or a
    device is written as it is. Raises CreateError, and UsageError for the store itself.
    """
    name, path = path, folder.absolute(path)
    try:
        is_file = _is_file(path)
        if not is_file:
            _write_through(path, texts)
            return
        path = os.path.realpath(path)
        refuse_store(store, path)
        if not os.path.isdir(os.path.dirname(path)):
            raise CreateError(f"cannot write the report {name}: there is no folder {os.path.dirname(path)}")
        _replace(path, texts, f"the report {path}", mode & ~_umask())
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader of a pipe has enough
        raise CreateError(f"cannot write the report {name}: {error.strerror}") from None


def _is_file(path: str) -> bool:
    """Whether there is a plain file, or nothing yet; False for a pipe or a character device. Raises CreateError.

    Links, pipes and devices of other users are refused: in a shared folder they could lead a report anywhere.
    """
    facts: os.stat_result | None = None
    for look in (os.lstat, os.stat):
        try:
            facts = look(path)
        except FileNotFoundError:
            break
        if stat.S_ISDIR(facts.st_mode):
            raise CreateError(f"cannot write the report {path}: it is a folder; name a file in it")
        is_strange = facts.st_uid not in (os.geteuid(), 0) and not _is_of_this_process(path)
        if is_strange and not stat.S_ISREG(facts.st_mode):
            raise CreateError(
                f"cannot write the report {path}: it is a link, a pipe or a device of another user"
                f" (uid {facts.st_uid}); name another file"
            )
    if facts is None or stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode):
        return True
    if stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode):
        return False
    raise CreateError(f"cannot write the report {path}: it is not a plain file; name another file")


def _is_of_this_process(path: str) -> bool:
    """Whether a path names a descriptor of this process, as shells pass ``>(gzip >report.gz)``."""
    return path.startswith(("/dev/fd/", "/proc/self/fd/"))


def _write_through(path: str, texts: Iterable[str]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
    with open(fd, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.writelines(texts)


def _replace(path: str, texts: Iterable[str], what: str, mode: int) -> None:
    parent, base = os.path.split(path)
    draft = Draft(os.path.join(parent, f".{base}.batchq-new"), what, mode=mode, patient=True)
    try:
        with open(draft.fd, "w", encoding="utf-8", errors="backslashreplace", newline="", closefd=False) as file:
            file.writelines(texts)
        draft.finish()
        failpoints.hit("report_before_rename")
        os.rename(draft.path, path)
        sync_folder(parent)
    finally:
        draft.close()


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now
