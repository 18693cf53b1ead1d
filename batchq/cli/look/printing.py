"""Printing to stdout: text that any locale can show, and the bytes that jobs printed."""

import os
import sys
from collections.abc import Iterable

from batchq.notes import note
from batchq.report.layout import Look, look
from batchq.store.file.connection import Store
from batchq.store.looking import outputs
from batchq.store.looking.rows import Job, Output
from batchq.visible import visible


def print_text(text: str) -> None:
    """Print text in the encoding of stdout."""
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower() != "utf-8":  # under cron it may be ASCII, and names may contain anything
        text = _spelled_out(text, encoding).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(text)


def _spelled_out(text: str, encoding: str) -> str:
    """Replace the signs of batchq's own texts that an encoding does not have."""
    for sign, plain in (("…", "..."), ("←", "<-"), ("×", "x")):
        try:
            sign.encode(encoding)
        except UnicodeEncodeError:
            text = text.replace(sign, plain)
    return text


def print_texts(texts: Iterable[str], *, is_utf8: bool) -> None:
    """Print texts one by one; with ``is_utf8`` in UTF-8 whatever the encoding of stdout is, because their format asks."""
    if not is_utf8 or (sys.stdout.encoding or "utf-8").lower() == "utf-8":
        for text in texts:
            print_text(text)
        return
    for text in texts:
        _print_bytes(text.encode("utf-8", "backslashreplace"))


def look_of_stdout(color: str) -> Look:
    """Return how text looks on stdout; ``color`` is the value of ``--color``."""
    return look(sys.stdout, color, os.environ)


def print_new(output: Output, seen: int) -> None:
    """Print ``output`` after its first ``seen`` bytes, with a line in brackets for missing bytes."""
    kept = output.total - len(output.tail)  # where the tail begins
    lost = max(0, kept - max(seen, len(output.head)))
    marker = f"\n[batchq: {lost:,} bytes are missing here]\n".encode() if lost else b""
    data = output.head[seen:] + marker + output.tail[max(0, seen - kept) :]
    if data:
        _print_bytes(visible(data).encode() if sys.stdout.isatty() else data)


def print_output(store: Store, job: Job, attempt: int | None, streams: list[str], *, alone: bool) -> None:
    """Print the output of one job to ``streams``; a note reports that there is none, or that bytes are missing."""
    found = {stream: outputs.read(store, job.id, attempt, stream) for stream in streams}
    printed = {stream: output for stream, output in found.items() if output.total}
    if not printed and alone:
        nothing = f"printed nothing to {' or '.join(streams)}" + (" yet" if job.state == "running" else "")
        note(f"logs: job {job.id} {nothing if job.attempt else 'has not started yet'}")
    for stream, output in printed.items():
        missing = f"{output.cut:,} bytes are missing"
        marker = f"\n[batchq: {missing} here]\n" if output.cut else ""
        if sys.stdout.isatty():
            _print_safely(job, stream, output, marker, titled=not alone or len(printed) > 1)
        else:
            _print_bytes(output.head + marker.encode() + output.tail)
        if output.cut:
            note(
                f"logs: {missing} of the {stream} of job {job.id}: only its beginning and its end are kept"
                f"{_elsewhere(job, output, stream)}"
            )


def _print_bytes(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _print_safely(job: Job, stream: str, output: Output, marker: str, *, titled: bool) -> None:
    from batchq.report.digest import title

    # If nothing is missing, head and tail are decoded as one: a character may span both.
    parts = [output.head, output.tail] if output.cut else [output.head + output.tail]
    text = marker.join(visible(part) for part in parts)
    heading = f"==> {title(job)}, attempt {output.attempt}: {stream} <==\n" if titled else ""
    print_text(heading + text + ("" if text.endswith("\n") else "\n"))


def _elsewhere(job: Job, output: Output, stream: str) -> str:
    """Return where the complete output is, if it was kept in a log file."""
    paths = [log.path for log in job.logs if log.stream in (stream, "both") and not log.trouble]
    return f"; all of it is in {visible(paths[0], one_line=True)}" if paths and output.attempt == job.attempt else ""
