"""A server that stops by itself: it records the pings that it gets, and what the store says when each arrives."""

import http.server
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Ping(NamedTuple):
    """One ping: ``is_early`` if it reports the end of a run whose end is not in the store."""

    path: str
    rid: str
    text: str
    is_early: bool


class Pinged:
    """``answers`` are the status codes of the next answers, 200 when there are none left; ``wait`` delays each answer."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.pings: list[Ping] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[int] = []
        self.location = ""
        self.wait: Callable[[], object] = lambda: None
        self.url = ""

    def paths(self) -> list[str]:
        return [ping.path for ping in self.pings]

    def early(self) -> list[Ping]:
        """The pings that came before what they report was recorded."""
        return [ping for ping in self.pings if ping.is_early]

    def is_recorded(self) -> bool:
        """Whether the store has the end of each job and each run that it knows."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as db:
            ((open_ends,),) = db.execute(
                "SELECT (SELECT count(*) FROM jobs WHERE state = 'running')"
                " + (SELECT count(*) FROM runners WHERE ended_at IS NULL)"
            ).fetchall()
        return bool(open_ends == 0)


@contextmanager
def serving(db: Path) -> Iterator[Pinged]:
    """A server on this machine for the length of a block."""
    seen = Pinged(db)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            text = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            is_early = not parts.path.endswith("/start") and not seen.is_recorded()
            seen.headers.append(dict(self.headers))
            seen.pings.append(Ping(parts.path, parse_qs(parts.query).get("rid", [""])[0], text, is_early))
            seen.wait()
            status = seen.answers.pop(0) if seen.answers else 200
            self.send_response(status)
            if seen.location and 300 <= status < 400:
                self.send_header("Location", seen.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # the client was told not to wait
                pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
