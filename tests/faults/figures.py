"""The one table in which the fault suites say what they did; a pytest plugin (PYTEST_DONT_REWRITE).

A suite that found nothing in n trials has not shown that nothing can be found: beside each zero stands 3/n, below which
the true rate lies with 95 % confidence (the rule of three).

Tests of other folders have their rows by ``attacks``. Several pytests at once leave their rows in the files that
``BATCHQ_FIGURES`` names, and ``figures.py FILE...`` prints the table of all.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from attacks import ATTACKS, attack_of
from soaking import SEED, SOAK


class Row(NamedTuple):
    """What one suite did: so many trials of a kind, so many of them bad, and whatever else it measured."""

    suite: str
    trials: int
    kind: str
    bad: int
    further: str


_ROWS: list[Row] = []
_CAUGHT: dict[str, int] = {}
_TRIED: Counter[str] = Counter()  #: tests of each attack
_FAILED: Counter[str] = Counter()


def record(suite: str, trials: int, kind: str, bad: int, **further: object) -> None:
    """Enter one row; ``further`` figures are told as they are."""
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in further.items())
    _ROWS.append(Row(suite, trials, kind, bad, told))


def record_caught(suite: str) -> None:
    """Enter that the suite has noticed a planted fault (mutants.py)."""
    _CAUGHT[suite] = _CAUGHT.get(suite, 0) + 1


def milliseconds(seconds: list[float]) -> str:
    """Median, 99th percentile and largest of some times."""
    ordered = sorted(seconds)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
    return f"p50 {p50 * 1000:.1f} p99 {p99 * 1000:.1f} max {ordered[-1] * 1000:.1f} ms"


def table(rows: list[Row]) -> str:
    """All rows, in the order of the suites."""
    head = ("suite", "trials", "", "bad", "95 % bound", "further")
    cells = [
        (row.suite, f"{row.trials:,}", row.kind, str(row.bad), _bound(row), row.further)
        for row in sorted(rows, key=lambda row: int(row.suite[1:].split()[0]))
    ]
    widths = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head))]
    right = (1, 3, 4)
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *cells)
    ]
    return "\n".join(lines)


def rows() -> list[Row]:
    """What this pytest did."""
    planted = [Row(f"{suite} planted faults", number, "caught", 0, "") for suite, number in _CAUGHT.items()]
    attacks = [Row(suite, number, "tests", _FAILED[suite], "") for suite, number in _TRIED.items()]
    return _ROWS + planted + attacks


def merged(several: list[list[Row]]) -> list[Row]:
    """The rows of several pytests, each attack once; one that none of them has tried has 0 trials."""
    tried = {attack.suite: Row(attack.suite, 0, "tests", 0, "") for attack in ATTACKS}
    others = []
    for row in (row for some in several for row in some):
        if row.suite in tried:
            before = tried[row.suite]
            tried[row.suite] = before._replace(trials=before.trials + row.trials, bad=before.bad + row.bad)
        else:
            others.append(row)
    return others + list(tried.values())


def _bound(row: Row) -> str:
    return "" if row.bad or row.trials < 4 or row.kind == "caught" else f"{3 / row.trials:.2g}"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a test of an attack, and whether it failed in any of its phases."""
    suite = attack_of(report.nodeid)
    if suite is not None and not report.skipped:
        _TRIED[suite] += report.when == "call"
        _FAILED[suite] += report.failed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table below the results, and the seed, without which a failure cannot be repeated."""
    if "BATCHQ_FIGURES" in os.environ:
        Path(os.environ["BATCHQ_FIGURES"]).write_text(json.dumps(rows()))
    if rows() or terminalreporter.stats.get("failed"):
        terminalreporter.section(f"faults ({'soak' if SOAK else 'small'} size, seed {SEED})")
        terminalreporter.write_line(table(rows()))


if __name__ == "__main__":
    print(table(merged([[Row(*row) for row in json.loads(Path(name).read_text())] for name in sys.argv[1:]])))
