"""Whole programs side by side, each with so many jobs and with twice as many.

Their times include the start of the program. What the second half of the larger batch took, the difference of the two,
does not: those are the *steady* figures.
"""

from collections.abc import Callable, Mapping, Sequence

import tables
from measure import Process, peak_memory, rounds


def compare(
    title: str,
    jobs: int,
    programs: Callable[[int], Mapping[str, Process]],
    references: Mapping[str, str],
    count: int,
) -> None:
    """Measure ``programs(jobs)`` and ``programs(2 * jobs)``; ``references`` names columns: a short name for a program."""
    once, twice = programs(jobs), programs(2 * jobs)
    taken = rounds(
        {f"1 {name}": one for name, one in once.items()} | {f"2 {name}": two for name, two in twice.items()}, count
    )
    whole = {name: taken[f"1 {name}"] for name in once}
    steady = {name: _difference(taken[f"2 {name}"], whole[name]) for name in once}
    present = {short: name for short, name in references.items() if name in once}
    speeds = [f"× {short}" for short in present]
    tables.show(
        f"{title}, {count} rounds",
        ("how", "ms", "jobs/s", *speeds, "steady jobs/s", *speeds, "peak MiB"),
        [
            (
                name,
                tables.milliseconds(whole[name]),
                tables.rate(jobs, whole[name]),
                *(tables.speed(whole[name], whole[other]) for other in present.values()),
                tables.rate(jobs, steady[name]),
                *(tables.speed(steady[name], steady[other]) for other in present.values()),
                tables.memory(peak_memory(once[name])),
            )
            for name in once
        ],
    )
    print(
        "(ms, jobs/s: with the start of the program; steady: without it, from twice as many jobs; ×: so many times as fast)"
    )


def _difference(larger: Sequence[float], smaller: Sequence[float]) -> list[float]:
    return [max(1e-6, two - one) for one, two in zip(smaller, larger, strict=True)]
