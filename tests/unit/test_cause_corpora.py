"""How well causes are recognised: 1,357 failures of real programs, whose causes are known, have to fall into place."""

import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.jobs.causes import clusters, signature
from batchq.jobs.causes.evidence import Evidence, program_of
from batchq.jobs.causes.lines import Finding

DATA = Path(__file__).parent.parent / "data"
FIELDS = ("outcome", "exit_code", "signal", "error_type", "error", "traceback", "stderr", "stdout")


class Score(NamedTuple):
    """``purity``: the share of failures in clusters of mostly their own cause. ``f1``: of pairs put together rightly."""

    purity: float
    f1: float
    clusters_a_cause: float

    @property
    def passes(self) -> bool:
        return self.purity >= 0.99 and self.f1 >= 0.97 and self.clusters_a_cause <= 1.1


def corpus(number: int) -> tuple[list[Evidence], list[str]]:
    """The failures, and the cause of each."""
    with lzma.open(DATA / f"failures-{number}.jsonl.xz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found = [
        Evidence(**{field: row[field] for field in FIELDS}, program=program_of("argv", json.dumps(row.get("work"))))
        for row in rows
    ]
    return found, [row["cause"] for row in rows]


CORPORA = {number: corpus(number) for number in (1, 2)}


def scored(labels: Iterable[object], causes: list[str]) -> Score:
    both = Counter(zip(labels, causes, strict=True))
    by_cluster: dict[object, Counter[str]] = {}
    for (label, cause), count in both.items():
        by_cluster.setdefault(label, Counter())[cause] = count
    right = pairs(both.values())
    together = pairs(counts.total() for counts in by_cluster.values())
    alike = pairs(Counter(causes).values())
    purity = sum(max(counts.values()) for counts in by_cluster.values()) / len(causes)
    return Score(purity, 2 * right / max(together + alike, 1), len(both) / len(set(causes)))


def pairs(counts: Iterable[int]) -> int:
    return sum(count * (count - 1) // 2 for count in counts)


def clustered(failures: list[Evidence]) -> list[clusters.Key]:
    keys = [signature.signature(one).key for one in failures]
    cluster_of = clusters.merged(keys)
    return [cluster_of[key] for key in keys]


@pytest.mark.parametrize("number", CORPORA)
def test_failures_of_one_cause_come_together_and_no_others(number: int) -> None:
    failures, causes = CORPORA[number]

    score = scored(clustered(failures), causes)

    assert score.passes, score


def test_the_corpora_are_whole() -> None:
    assert [(len(failures), len(set(causes))) for failures, causes in CORPORA.values()] == [(744, 79), (613, 71)]


def _unmasked(text: str, *, quotes: bool) -> str:
    return text


def _digits_masked(text: str, *, quotes: bool) -> str:
    return re.sub(r"0x[0-9a-f]+|\d+", "#", text)


def _last_line(text: str) -> Finding | None:
    lines = [line for line in text.split("\n") if line.strip()]
    return Finding(1, lines[-1]) if lines else None


BROKEN = {
    "no masks": ("masked", _unmasked),
    "only digits masked": ("masked", _digits_masked),
    "the last line instead of the explaining one": ("explaining", _last_line),
    "tracebacks not read": ("chain", lambda text: []),
    "all tracebacks of one place": ("_place", lambda frame: ""),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_the_floor_would_notice_a_broken_rule(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(signature, *BROKEN[broken])

    assert not all(scored(clustered(failures), causes).passes for failures, causes in CORPORA.values())


def test_the_score_counts_what_is_lumped_and_what_is_split() -> None:
    assert scored("aabb", [*"xxyy"]) == Score(1.0, 1.0, 1.0)
    assert scored("aaaa", [*"xxyy"]) == Score(0.5, 0.5, 1.0)
    assert scored("abcd", [*"xxyy"]) == Score(1.0, 0.0, 2.0)


@settings(max_examples=10)
@given(st.randoms(use_true_random=False), st.sampled_from([1, 2]))
def test_the_order_of_failures_never_matters(random, number) -> None:  # type: ignore[no-untyped-def]
    failures, _ = CORPORA[number]
    shuffled = random.sample(range(len(failures)), len(failures))

    again = clustered([failures[place] for place in shuffled])

    in_order = clustered(failures)
    assert [in_order[place] for place in shuffled] == again
