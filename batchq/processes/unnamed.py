"""Files without a name: none that is full, or cleaned by somebody, is in their way."""

import os


def unnamed_file(name: str) -> int:
    """A descriptor of an empty file, called ``name`` where the system shows it: in memory on Linux, elsewhere deleted.

    Raises OSError.
    """
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create(name)
        except PermissionError:
            pass  # a sysctl forbids it
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
