"""``batchq top``: read, draw, wait for a key or the next second; all changes go through the functions of the commands."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Sequence

from batchq.cli.change import changing
from batchq.cli.choosing import chosen, store_for
from batchq.cli.look.printing import look_of_stdout, print_text
from batchq.cli.request import duration
from batchq.cli.top import keys
from batchq.cli.top.pressing import QUIT, READ, press
from batchq.cli.top.terminal import Ended, Terminal
from batchq.errors import BatchqError, BusyError, MissingError, UsageError
from batchq.jobs.selection import Selection, of_ids
from batchq.report.digest import title
from batchq.report.ending import nth
from batchq.report.top import focus as looked_at
from batchq.report.top import picture
from batchq.report.top.contents import MOST, Contents, Reader
from batchq.report.top.focus import CONFIRM, HELP, LIST, LOG, Focus
from batchq.report.top.pager import Page
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at, require_known_schema
from batchq.store.looking import queries
from batchq.store.looking.activity import STATES

SHORTEST = 0.1  #: seconds between two pictures,
PART = 10  #: and at least this many times what it took to read the store
PATIENCE = 2.0  #: seconds that a read or a change waits for a locked store


def top(selection: Selection, *, interval: str, once: bool, color: str, db: str | None) -> int:
    """Show the store until a key ends it; print it once with ``once`` or off a terminal."""
    seconds = duration("--interval", interval) / 1000
    if seconds < SHORTEST:
        raise UsageError(f"--interval {interval} is too short: at least {SHORTEST}s")
    store = store_for(db, reading=True)
    watch = _Watch(store, chosen(store, selection, "top"), seconds)
    try:
        queries.require(store, watch.selection)
        if once or not _has_screen():
            state = _first_list(watch.selection)
            contents = Reader(store, watch.selection).read(state, "", -1 if state == "running" else MOST)
            print_text(picture.whole(contents, state, look_of_stdout(color)))
            return 0
        with Terminal(color) as screen:
            watch.run(screen)
    except Ended as end:
        return -end.number
    finally:
        watch.store.close()
    return 0


def _has_screen() -> bool:
    is_able = os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return is_able and sys.stdin.isatty() and sys.stdout.isatty()


def _first_list(selection: Selection) -> str:
    """The list that is shown first: that of the only state that is selected, else that of the running jobs."""
    if len(selection.states) != 1:
        return "running"
    return selection.states[0] if selection.states[0] in STATES else ""


class _Watch:
    """One session: the store, which is opened again if another file takes its place, and what is looked at."""

    def __init__(self, store: Store, selection: Selection, seconds: float) -> None:
        self.store = store
        self.selection = selection
        self._seconds = seconds
        self._focus = Focus(_first_list(selection))
        self._log: tuple[str, Sequence[str]] = ("", ())
        self._trouble = ""
        self._due_at = 0.0
        self._use(store)

    def run(self, screen: Terminal) -> None:
        """Draw and read until a key quits."""
        contents = self._read(None)
        while True:
            self._draw(screen, contents)
            is_stale = False
            for key in screen.keys(max(0.0, self._due_at - time.monotonic())):
                if is_stale and self._focus.mode == LIST:  # the key means what is in the list now
                    contents, is_stale = self._read(contents), False
                pressed = press(self._focus, key, contents, screen.size[1])
                self._focus = pressed.focus
                if pressed.asks == QUIT:
                    return
                if pressed.asks not in ("", READ):
                    self._focus = self._focus._replace(message=self._change(pressed.asks, pressed.target))
                is_stale = is_stale or bool(pressed.asks)
                if self._focus.mode == CONFIRM:  # pasted text must not answer: the rest of it is dropped
                    break
            if is_stale or time.monotonic() >= self._due_at:
                contents = self._read(contents)

    def _read(self, before: Contents | None) -> Contents:
        """Read the store; if it is locked, keep what was read before and say so."""
        began = time.monotonic()
        try:
            if self.store.files.is_moved():
                self._reopen()
            require_known_schema(self.store)
            contents = self._reader.read(self._focus.state, self._focus.text)
            if self._focus.mode == LOG:
                self._read_log(self._focus.target)
        except BusyError as error:
            if before is None:
                raise
            self._trouble = str(error)
            self._focus = self._focus._replace(message=self._trouble)
            return before
        finally:
            ended = time.monotonic()
            self._due_at = began + max(self._seconds, PART * (ended - began))
        if self._trouble and self._focus.message == self._trouble:
            self._focus = self._focus._replace(message="")
        self._trouble = ""
        self._focus = looked_at.settled(contents, self._focus)
        return contents

    def _reopen(self) -> None:
        """Open the file that has taken the place of the store. Raises what opening raises, if there is none."""
        again = open_at(self.store.path, reading=True)
        self.store.close()
        self._use(again)
        self._focus = self._focus._replace(message=f"{again.path} was replaced: this is the new one")

    def _use(self, store: Store) -> None:
        store.patience = PATIENCE
        self.store = store
        self._reader = Reader(store, self.selection)

    def _read_log(self, id: int) -> None:
        try:
            detail, lines = self._reader.log(id)
        except MissingError as error:  # it was pruned
            self._focus = self._focus._replace(mode=LIST, message=str(error))
            return
        job = detail.job
        self._log = f"{title(job)}, {job.standing}{f', {nth(job)}' if job.attempt else ''}: {job.command}", lines

    def _draw(self, screen: Terminal, contents: Contents) -> None:
        columns, rows = screen.size
        if self._focus.mode in (LOG, HELP):
            name, text = self._log if self._focus.mode == LOG else ("batchq top", keys.HELP.splitlines())
            page = Page(name, text, "q back  Up Down PgUp PgDn Home End", self._focus.below, columns, rows)
            self._focus = self._focus._replace(below=page.below)
            screen.draw(page.lines)
        else:
            screen.draw(picture.picture(contents, self._focus, columns, rows))

    def _change(self, verb: str, job: int) -> str:
        """Change a job as the command of this name does; return what that prints."""
        change, done, hints = changing.VERBS[verb]
        notes = io.StringIO()
        try:
            with contextlib.redirect_stderr(notes):
                changed = changing.change_chosen(self.store, of_ids([job]), change)
        except BatchqError as error:
            return str(error)
        return "; ".join([changing.in_words(verb, done, changed, hints), *notes.getvalue().splitlines()])
