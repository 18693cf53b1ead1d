"""Files without a name: a full or cleaned folder for temporary files does not matter to them."""

import os


def unnamed_file(name: str) -> int:
    """Open an empty file, shown as ``name`` by the system: in memory on Linux, elsewhere deleted. Return its descriptor.

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
