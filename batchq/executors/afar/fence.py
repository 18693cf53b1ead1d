"""A folder that a run and the workers of a pool share: what the pool itself cannot do goes through it.

The fence: the first to make the file ``begun-TOKEN`` decides. A worker that makes it begins the attempt, so no attempt
begins twice, however often the pool runs it. A run that makes it has prevented the attempt for certain. ``orders`` grows by
one line for each order, ``printed-TOKEN`` is the newest output, and ``alive`` names the run, whose end removes the folder.
"""

import contextlib
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from batchq.processes.link import Message


class Fence:
    """One such folder, from either side."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._read = 0  # bytes of the orders

    # --- for workers ---------------------------------------------------------------------------------------------------

    def is_shared(self, run: str) -> bool:
        """Whether this is the folder of that run, seen from here."""
        try:
            with open(self._path("alive")) as file:
                return file.read() == run
        except OSError:
            return False

    def begin(self, token: str, host: str = "") -> bool:
        """Begin an attempt; False if it has begun, or was prevented. A folder that is gone prevents nothing."""
        try:
            file = os.open(self._path("begun", token), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                os.write(file, host.encode())
            finally:
                os.close(file)
        except FileExistsError:
            return False
        except OSError:
            pass
        return True

    def orders(self) -> "Iterator[Message]":
        """Yield the orders since the last call; if the folder is gone, the order to close."""
        try:
            with open(self._path("orders"), "rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            if not os.path.isdir(self.folder):
                yield ["close"]
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        yield from map(json.loads, whole.splitlines())

    def print(self, message: "Message") -> None:
        """Leave the newest output of an attempt, if that is possible."""
        path = self._path("printed", message[1])
        with contextlib.suppress(OSError):
            with open(f"{path}.new", "w") as file:
                json.dump(message, file)
            os.rename(f"{path}.new", path)

    # --- for the run ---------------------------------------------------------------------------------------------------

    def open(self, run: str) -> None:
        """Say whose folder it is. Raises OSError."""
        with open(self._path("alive"), "w") as file:
            file.write(run)

    def order(self, message: "Message") -> None:
        """Give an order. Raises OSError."""
        with open(self._path("orders"), "ab") as file:
            file.write(json.dumps(message).encode() + b"\n")

    def begun(self, known: "Container[str]" = ()) -> "dict[str, tuple[int, str]]":
        """Map the tokens of attempts that have begun to when they did (milliseconds since 1970) and at which host.

        Those that are ``known`` are left out.
        """
        found = {}
        with contextlib.suppress(OSError):
            for one in os.scandir(self.folder):
                if one.name.startswith("begun-") and one.name[6:] not in known:
                    with contextlib.suppress(OSError), open(one.path) as file:
                        found[one.name[6:]] = one.stat().st_mtime_ns // 1_000_000, file.read()
        return found

    def printed(self) -> "Iterator[Message]":
        """Yield the output that attempts have left since the last call."""
        for name in os.listdir(self.folder):
            if name.startswith("printed-") and not name.endswith(".new"):
                with contextlib.suppress(OSError), open(f"{self.folder}/{name}") as file:
                    os.unlink(file.name)
                    yield json.load(file)

    def forget(self, token: str) -> None:
        """Remove the files of an attempt that has ended."""
        for kind in ("begun", "printed"):
            with contextlib.suppress(OSError):
                os.unlink(self._path(kind, token))

    def _path(self, *words: str) -> str:
        return os.path.join(self.folder, "-".join(words))
