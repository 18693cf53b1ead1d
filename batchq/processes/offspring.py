"""``batchq`` as a child process of a Python program, which does not itself become a guardian."""

import os
import signal
import subprocess
import sys

from batchq.errors import BatchqError

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The program of the child: the same batchq as its parent, wherever that was found, and the modules next to it.
_START = (
    "import sys; root, parent = sys.argv[1:3]; sys.argv[:3] = ['batchq'];"
    " sys.path.insert(0, root); import batchq; sys.path.append(sys.path.pop(0));"
    " from batchq.processes import tree; tree.stop_with_parent(int(parent));"
    " from batchq.__main__ import main; main()"
)


def run_to_end(words: list[str]) -> tuple[int, bytes]:
    """Run ``batchq WORDS…`` to its end; return its exit status, and what it printed to stdout.

    The status is 130 if it was interrupted, and -n if signal n killed it. It has this process's stderr and folder, and an
    empty stdin. An exception that ends the wait is raised again after the child has ended: each KeyboardInterrupt sends
    it SIGINT, any other exception SIGTERM. If this process is killed, the child stops by itself (Linux).
    """
    if not sys.executable:
        raise BatchqError("this Python does not know its own program (sys.executable), so it cannot start batchq")
    argv = [sys.executable, "-P", "-c", _START, _ROOT, str(os.getpid()), *words]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    printed, status = b"", None
    errors: list[BaseException] = []
    told = 0  # so many of them the child knows
    with process.stdout as stdout:
        while status is None:
            try:
                while status is None:
                    # Not communicate(): after Ctrl-C that waits for 0.25 s. The child gets the terminal's SIGINT itself,
                    # and takes ours for the same one only if it comes at once.
                    try:
                        while told < len(errors):
                            process.send_signal(_number(errors[told]))
                            told += 1
                        while part := os.read(stdout.fileno(), 65536):
                            printed += part
                        status = process.wait()
                    except BaseException as error:
                        errors.append(error)
            except BaseException as error:  # another Ctrl-C, while the one before was taken in
                errors.append(error)
    if errors:
        raise errors[-1]
    return 130 if status == -signal.SIGINT else status, printed


def _number(error: BaseException) -> signal.Signals:
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
