"""What a place says of itself first."""

import os
import sys
import time
from importlib import metadata

from batchq.executors.afar import protocol
from batchq.processes import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def greeting() -> "dict[str, Any]":
    """Describe this place to the run before any work."""
    return {
        "protocol": protocol.PROTOCOL,
        "batchq": metadata.version("batchq"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "host": machine.host(),
        "boot_id": machine.boot_id(),
        "namespace": machine.namespace(),
        "cores": machine.cores(),
        "pid": os.getpid(),
        "now": time.time(),
    }
