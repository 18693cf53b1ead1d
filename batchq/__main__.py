"""The entry: ``batchq …`` and ``python -m batchq …``."""

import _signal  # type: ignore[import-not-found]  # signal makes an enum of each, which takes a millisecond
import gc
import io
import os
import sys

from batchq.errors import BatchqError, LedgerError
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Objects between looks for circles among them: imports make many, and a runner thousands in each exchange, all in none.
_GARBAGE = 50_000


class _Forgiving(io.RawIOBase):
    """Descriptor 2 as a stream that never complains."""

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return os.isatty(2)

    def fileno(self) -> int:
        """2."""
        return 2

    def write(self, data: "Any") -> int:
        """Write what can be written; all of it counts as written."""
        try:
            rest = memoryview(data).cast("B")
            while rest:
                rest = rest[os.write(2, rest) :]
        except OSError:
            pass
        return len(data)


def main() -> None:
    """Run one command line; never returns."""
    _hear_interrupts(is_python=False)
    gc.set_threshold(_GARBAGE)
    _open_standard_streams()
    if sys.stdout is None:  # started with >&-
        sys.stdout = open(os.devnull, "w")
    # What cannot be said on stderr (closed, a full device) is lost, and changes neither the work nor the exit code.
    sys.stderr = io.TextIOWrapper(_Forgiving(), errors="backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of jobs print also where the locale is C
    try:
        code = _command(sys.argv[1:])
        _hear_interrupts(is_python=False)
    except KeyboardInterrupt:
        code = -_signal.SIGINT  # it ends of that, too: the loop of a shell around it is to end
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # whoever read has enough: `batchq list | head` is no failure
    except OSError as error:
        sys.stderr.write(f"batchq: cannot write to stdout: {error.strerror}\n")
        code = LedgerError.exit_code
    if code < 0:
        from batchq.processes.signals import end_by_signal

        end_by_signal(-code)
        code = 128 - code
    os._exit(code)  # nothing of ours is left to finalise, and finalising costs as much as an insert


def _hear_interrupts(*, is_python: bool) -> None:
    """Whether SIGINT, unless it is ignored, raises KeyboardInterrupt, so that a command tidies up, or ends the process.

    Python loses an exception that is raised in some callbacks of imports and of the garbage collector. A run has nothing
    to tidy up before it has handlers of its own.
    """
    before, now = _signal.SIG_DFL, _signal.default_int_handler
    if not is_python:
        before, now = now, before
    if _signal.getsignal(_signal.SIGINT) == before:
        _signal.signal(_signal.SIGINT, now)


def _open_standard_streams() -> None:
    """Fill closed descriptors 0–2, so that no pipe, lock or store file of ours lands there (``batchq run >&-``)."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _command(argv: list[str]) -> int:
    # The words of a job are split off before any parser sees them: parsers drop the "--" and would read its options.
    cut = argv.index("--") if "--" in argv else len(argv)
    words = argv[cut + 1 :] if cut < len(argv) else None
    try:
        return _dispatch(argv[:cut], words)
    except BatchqError as error:
        sys.stderr.write(f"batchq: {visible(str(error))}\n")
        return error.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:
        what = f"{error.filename}: " if error.filename else "cannot write the output: "
        sys.stderr.write(f"batchq: {visible(f'{what}{error.strerror or error}')}\n")
        return LedgerError.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _dispatch(argv: list[str], words: list[str] | None) -> int:
    if sys.platform == "win32":
        raise BatchqError("Windows has no process groups and no fork, on which batchq rests; use WSL")
    from batchq.cli import commands

    if (found := commands.read(argv, words)) is None:
        from batchq.cli import app  # typer, for the help and for complaints alone

        return app.complain(argv, words)
    command, values = found
    if command.name != "run":
        _hear_interrupts(is_python=True)
    return commands.call(command, values)


if __name__ == "__main__":
    main()
