"""The order of two streams: in bounded memory, each kept byte once, and a gap where bytes are missing."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.processes import turns as module
from batchq.processes.turns import Turns
from batchq.store.looking.pieces import Piece, in_order, longest
from batchq.store.looking.rows import Output

STREAMS = ("stdout", "stderr")
PRINTS = st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=60)


class Printer:
    """Prints numbered bytes to two streams, and keeps ``head`` and ``tail`` bytes of each as a run does."""

    def __init__(self, head: int, tail: int) -> None:
        self.ends = head, tail
        self.turns = Turns(head, tail)
        self.all: list[tuple[str, int]] = []  # each byte: its stream, and its place there
        self.data = {stream: bytearray() for stream in STREAMS}

    def print(self, prints: Sequence[tuple[bool, int]]) -> None:
        for is_stderr, size in prints:
            stream = STREAMS[is_stderr]
            for _ in range(size):
                self.all.append((stream, len(self.data[stream])))
                self.data[stream].append(len(self.data[stream]) % 251)
            self.turns.add(size, is_stderr=is_stderr)

    def outputs(self) -> dict[str, Output]:
        head, tail = self.ends
        return {
            stream: Output(1, bytes(data[:head]), bytes(data[max(len(data) - tail, head) :]), len(data))
            for stream, data in self.data.items()
            if data
        }

    def kept(self) -> list[tuple[str, int]]:
        head, tail = self.ends
        return [(name, at) for name, at in self.all if at < head or at >= len(self.data[name]) - tail]


def bytes_of(pieces: Sequence[Piece]) -> list[tuple[str, int]]:
    return [(piece.stream, byte) for piece in pieces for byte in piece.data]


@given(PRINTS, st.integers(0, 30), st.integers(0, 30), st.sampled_from([2, 8, 1024]))
def test_each_kept_byte_comes_once_in_the_order_of_printing(
    prints: list[tuple[bool, int]], head: int, tail: int, few: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", few)
        printer = Printer(head, tail)
        printer.print(prints)
    pieces = list(in_order(printer.outputs(), printer.turns.text()))

    assert bytes_of(pieces) == [(name, at % 251) for name, at in printer.kept()]
    for stream, output in printer.outputs().items():
        gaps = [piece.missing for piece in pieces if piece.stream == stream and piece.missing]
        assert gaps == ([output.cut] if output.cut else [])
        at = next((number for number, piece in enumerate(pieces) if piece.missing and piece.stream == stream), None)
        if at is not None:  # the gap is between the head and the tail
            assert b"".join(piece.data for piece in pieces[:at] if piece.stream == stream) == output.head


@given(PRINTS, PRINTS, st.integers(0, 30), st.integers(0, 30))
def test_what_was_seen_before_does_not_come_again_and_nothing_else_is_left_out(
    first: list[tuple[bool, int]], then: list[tuple[bool, int]], head: int, tail: int
) -> None:
    printer = Printer(head, tail)
    printer.print(first)
    seen = {stream: len(data) for stream, data in printer.data.items()}
    printer.print(then)
    pieces = list(in_order(printer.outputs(), printer.turns.text(), seen))

    assert bytes_of(pieces) == [(name, at % 251) for name, at in printer.kept() if at >= seen[name]]
    shown = {stream: sum(len(one.data) + one.missing for one in pieces if one.stream == stream) for stream in STREAMS}
    assert shown == {stream: len(data) - seen[stream] for stream, data in printer.data.items()}


def test_turns_of_which_nothing_is_kept_need_no_memory() -> None:
    printer = Turns(1000, 1000)
    for number in range(200_000):
        printer.add(10, is_stderr=number % 2 == 1)

    lengths = json.loads(printer.text() or "")
    assert len(lengths) < 3000
    assert lengths[:200] == [10] * 200
    assert lengths[-200:] == [10] * 200
    assert sum(lengths) == 2_000_000


def test_of_very_many_kept_turns_those_in_the_middle_are_joined() -> None:
    printer = Turns(10**9, 10**9)
    times = 5 * module.MOST
    for number in range(times):
        printer.add(1, is_stderr=number % 2 == 0)

    lengths = json.loads(printer.text() or "")
    assert len(lengths) <= module.MOST + 1
    assert lengths[0] == 0
    assert lengths[1 : module.MOST // 4] == [1] * (module.MOST // 4 - 1)
    assert lengths[-module.MOST // 8 :] == [1] * (module.MOST // 8)
    assert (sum(lengths[0::2]), sum(lengths[1::2])) == (times // 2, times // 2)


@pytest.mark.parametrize("prints", [[], [(False, 5)], [(True, 5)], [(True, 5), (True, 1)]])
def test_one_stream_has_no_turns(prints: list[tuple[bool, int]]) -> None:
    printer = Printer(10, 10)
    printer.print(prints)

    assert printer.turns.text() is None


@pytest.mark.parametrize(
    "turns", [None, "", "no JSON", "{}", "[-1]", '["2"]', "[true]", "[9,9,9,9]", "[0,1,1]", "[1.5]"]
)
def test_whatever_the_turns_are_each_byte_comes_once(turns: str | None) -> None:
    outputs = {"stdout": Output(1, b"abc", b"yz", 10), "stderr": Output(1, b"de", b"", 2)}
    pieces = list(in_order(outputs, turns))

    assert sorted(byte for _, byte in bytes_of(pieces)) == sorted(b"abcyzde")
    assert [piece for piece in pieces if piece.missing] == [Piece("stdout", b"", 5)]


def test_without_turns_stdout_comes_first() -> None:
    outputs = {"stderr": Output(1, b"err", b"", 3), "stdout": Output(1, b"out", b"", 3)}

    assert list(in_order(outputs, None)) == [Piece("stdout", b"out"), Piece("stderr", b"err")]


def test_of_two_stored_orders_the_newer_one_counts() -> None:
    assert longest(["[2,2]", None, "[2,2,1]"]) == "[2,2,1]"
    assert longest([]) is None
    assert longest([None, None]) is None


@pytest.mark.parametrize("broken", ["no order", "turns of the end lost", "streams swapped"])
def test_a_broken_order_is_noticed(broken: str) -> None:
    printer = Printer(4, 4)
    printer.print([(False, 2), (True, 3), (False, 9), (True, 2), (False, 2)])
    lengths = json.loads(printer.turns.text() or "")
    turns = {"no order": None, "turns of the end lost": lengths[:2], "streams swapped": [0, *lengths]}[broken]

    text = None if turns is None else json.dumps(turns)
    assert bytes_of([*in_order(printer.outputs(), text)]) != [(name, at % 251) for name, at in printer.kept()]
