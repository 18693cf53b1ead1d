"""One table a section, as Markdown that also reads well in a terminal."""

from collections.abc import Sequence

Row = Sequence[str]


def show(title: str, head: Row, rows: Sequence[Row]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}\n")
    print(_line(head, widths))
    print(
        "|" + "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths)) + "|"
    )
    for row in rows:
        print(_line(row, widths), flush=True)


def _line(row: Row, widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return "| " + " | ".join(cells) + " |"


def milliseconds(seconds: Sequence[float]) -> str:
    """``12.3``, with as many digits as mean something."""
    value = median(seconds) * 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def spread(seconds: Sequence[float]) -> str:
    """The fastest and the slowest round."""
    return f"{milliseconds([min(seconds)])}–{milliseconds([max(seconds)])}"


def rate(count: int, seconds: Sequence[float]) -> str:
    """How many a second."""
    return f"{count / median(seconds):,.0f}"


def ratio(times: Sequence[float], base: Sequence[float]) -> str:
    """How many times as long as ``base``: the median of the ratios within each round."""
    return f"{median([time / other for time, other in zip(times, base, strict=True)]):.2f}"


def speed(times: Sequence[float], base: Sequence[float]) -> str:
    """How many times as fast as ``base``, in the same way."""
    return ratio(base, times)


def memory(mebibytes: float | None) -> str:
    """``24`` or, where it cannot be known, ``?``."""
    return "?" if mebibytes is None else f"{mebibytes:.0f}"


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
