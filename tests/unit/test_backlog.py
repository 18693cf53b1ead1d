"""Output that waits for its turn comes back as it was, from memory and from files."""

import errno
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.cli.run import backlog
from batchq.cli.run.backlog import Backlog, Waiting


@pytest.fixture
def small() -> Iterator[None]:
    before = backlog.MEMORY, backlog.SEGMENT, backlog.PIECE
    backlog.MEMORY, backlog.SEGMENT, backlog.PIECE = 20, 64, 7
    yield
    backlog.MEMORY, backlog.SEGMENT, backlog.PIECE = before


JOB = st.integers(0, 2)
PUT = st.tuples(JOB, st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=30))
STEPS = st.lists(PUT | JOB, max_size=60)


def told(pieces: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The pieces, neighbours of one stream together."""
    found: list[tuple[str, bytes]] = []
    for stream, data in pieces:
        if found and found[-1][0] == stream:
            found[-1] = stream, found[-1][1] + data
        else:
            found.append((stream, data))
    return found


@pytest.mark.usefixtures("small")
@settings(max_examples=200)
@given(STEPS)
def test_each_job_gets_back_what_was_put_in_the_same_order(steps: list[tuple[int, str, bytes] | int]) -> None:
    shared = Backlog()
    jobs = [Waiting(shared) for _ in range(3)]
    put: list[list[tuple[str, bytes]]] = [[], [], []]
    taken: list[list[tuple[str, bytes]]] = [[], [], []]
    for step in steps:
        if isinstance(step, tuple):
            number, stream, data = step
            jobs[number].put(stream, data)
            put[number].append((stream, data))
        elif jobs[step]:
            taken[step].append(jobs[step].take())
    for number, job in enumerate(jobs):
        while job:
            taken[number].append(job.take())

    assert [told(one) for one in taken] == [told(one) for one in put]
    assert max((len(data) for one in taken for _, data in one), default=0) <= backlog.PIECE
    assert shared.in_memory == 0 and shared._segment is None


@pytest.mark.usefixtures("small")
def test_a_piece_without_room_is_dropped_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Backlog()
    job = Waiting(shared)
    job.put("stdout", b"kept")

    def full(_: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(shared, "store", full)
    with pytest.raises(OSError, match="full"):
        job.put("stdout", b"x" * 30)
    assert job.take() == ("stdout", b"kept") and not job
