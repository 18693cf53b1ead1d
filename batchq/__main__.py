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

#: Allocations between garbage collections: imports and each exchange make thousands of objects, none of them in cycles.
_GARBAGE = 50_000


class _LossyStderr(io.RawIOBase):
    """Descriptor 2 as a stream that never fails: output that cannot be written is dropped."""

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether stderr is a terminal."""
        return os.isatty(2)

    def fileno(self) -> int:
        """2."""
        return 2

    def write(self, data: "Any") -> int:
        """Write as much as possible; all of it counts as written."""
        try:
            rest = memoryview(data).cast("B")
            while rest:
                rest = rest[os.write(2, rest) :]
        except OSError:
            pass
        return len(data)


def main() -> None:
    """Run one command line; never returns."""
    _set_interrupts(is_python=False)
    gc.set_threshold(_GARBAGE)
    _open_standard_streams()
    if sys.stdout is None:  # started with >&-
        sys.stdout = open(os.devnull, "w")
    # If stderr cannot be written (closed, a full device), messages are lost; work and exit code stay the same.
    sys.stderr = io.TextIOWrapper(_LossyStderr(), errors="backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # so that any job name can be printed, even when the locale is C
    try:
        code = _command(sys.argv[1:])
        _set_interrupts(is_python=False)
    except KeyboardInterrupt:
        code = -_signal.SIGINT  # end by SIGINT, so that a surrounding shell loop ends, too
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # the reader has enough: `batchq list | head` is not a failure
    except OSError as error:
        sys.stderr.write(f"batchq: cannot write to stdout: {error.strerror}\n")
        code = LedgerError.exit_code
    if code < 0:
        from batchq.processes.signals import end_by_signal

        end_by_signal(-code)
        code = 128 - code
    os._exit(code)  # nothing of ours is left to finalise, and finalising costs as much as an insert


def _set_interrupts(*, is_python: bool) -> None:
    """Let SIGINT raise KeyboardInterrupt, so that a command can clean up, or end the process; if ignored, it stays so.

    Python loses exceptions that are raised in some callbacks of imports and of the garbage collector, so SIGINT ends the
    process there. A run has nothing to clean up before it installs handlers of its own.
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
        raise BatchqError("batchq needs fork and process groups, which Windows does not have; use WSL")
    from batchq.cli import commands

    command, values = commands.read(argv, words)
    if command.name != "run":
        _set_interrupts(is_python=True)
    return commands.call(command, values)


if __name__ == "__main__":
    main()
