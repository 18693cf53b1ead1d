"""Every error that batchq shows to a person, each with the exit code that a script sees.

    BatchqError
    ├── UsageError      2   the command line is wrong
    ├── InputError     65   a job file, a line or a field is wrong; nothing was stored
    ├── MissingError   66   no such store, or no such input file
    │   └── ResultError     only from Python: a job has no result, because it has not succeeded
    ├── CreateError    73   a file cannot be created or written
    ├── LedgerError    74   input/output error: disk full, corrupt or missing store
    ├── BusyError      75   the store is locked by another process; try again later
    ├── ScarceError    75   too few descriptors or no child process for this process; raise the limit and try again
    └── StoreError     78   the file is not a batchq store, or a newer batchq made it

The numbers from 65 up are those of sysexits.h (BSD). A message is one clear sentence: what, where, what to do.
"""


class BatchqError(Exception):
    """The base of all errors that end a command with a sentence instead of a traceback."""

    exit_code = 70


class UsageError(BatchqError):
    """The command line is wrong."""

    exit_code = 2


class InputError(BatchqError):
    """The input of an add is wrong; nothing was stored."""

    exit_code = 65


class MissingError(BatchqError):
    """A store or an input file does not exist."""

    exit_code = 66


class ResultError(MissingError):
    """The requested result does not exist, because the job has not succeeded."""


class CreateError(BatchqError):
    """A file cannot be created or written."""

    exit_code = 73


class LedgerError(BatchqError):
    """The store cannot be read or written: disk full, input/output error, corrupt or missing."""

    exit_code = 74


class BusyError(BatchqError):
    """Another process holds the store past the deadline."""

    exit_code = 75


class ScarceError(BatchqError):
    """The limits of this process are too low to run even one job."""

    exit_code = 75


class StoreError(BatchqError):
    """The file is not a batchq store, or a newer batchq made it."""

    exit_code = 78
