"""Ports of this machine for servers that must be told theirs: nobody else gets one meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def kept(count: int) -> Iterator[list[int]]:
    """Keep so many ports of 127.0.0.1 until the end of the block.

    A port that is only found to be free can be another program's a moment later, even as the near end of a connection. The
    sockets here are bound and do not listen, so the kernel gives the ports to nobody; who names one, with SO_REUSEADDR as
    servers do, can listen there.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        yield [one.getsockname()[1] for one in sockets]
