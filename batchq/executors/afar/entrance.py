"""The program ``batchq-site``, which starts a site, or says that the memory is too small for one.

A site that comes up and then finds none dies with its jobs, which crash. So it makes sure of that before it comes up.
"""

import os

HEADROOM = 16 * 1024 * 1024  #: bytes that must be there for the site to work with
TOO_LITTLE = "too little memory for batchq (ulimit -v, or the limit of a container)"


def main() -> None:
    """Serve the run at the other end of stdin and stdout until it is gone."""
    try:
        from batchq.executors.afar import site
    except Exception as error:  # where a library cannot be mapped that is an ImportError
        if not isinstance(error, MemoryError) and _has_room():
            raise
        os.write(1, f'["refused", "{os.uname().nodename}: {TOO_LITTLE}", 78]\n'.encode())
        os._exit(0)
    site.main()


def _has_room() -> bool:
    try:
        bytearray(HEADROOM)
    except MemoryError:
        return False
    return True
