"""Tracebacks in few lines."""

from batchq.report.folding import MOST, folded, folded_output

LONG = """Traceback (most recent call last):
  File "/srv/shop/fetch.py", line 10, in page
    with urlopen(url) as answer:
         ^^^^^^^^^^^^
  File "/usr/lib/python3.11/urllib/request.py", line 216, in urlopen
    return opener.open(url, data, timeout)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/urllib/request.py", line 519, in open
    response = self._open(req, data)
  File "/usr/lib/python3.11/http/client.py", line 7, in send
    send(
        a,
        b)
urllib.error.URLError: refused
"""


def test_frames_of_libraries_are_counted_and_carets_left_out() -> None:
    assert folded(LONG) == [
        "Traceback (most recent call last):",
        '  File "/srv/shop/fetch.py", line 10, in page',
        "    with urlopen(url) as answer:",
        "  … 3 frames in request.py, client.py",
        "urllib.error.URLError: refused",
    ]


def test_a_group_of_exceptions_keeps_its_margin() -> None:
    frame = '  |   File "/usr/lib/python3.11/a.py", line 1, in f\n  |     x\n'
    text = f"  | Traceback (most recent call last):\n{frame}  | E: 1\n"

    assert folded(text) == ["  | Traceback (most recent call last):", "  |   … 1 frame in a.py", "  | E: 1"]


def test_other_text_keeps_its_lines_and_of_a_long_one_the_end_is_kept() -> None:
    assert folded("one\n\n  two\n") == ["one", "", "  two"]
    lines = folded("\n".join(f"line {number}" for number in range(100)))
    assert (len(lines), lines[0], lines[-1]) == (MOST, "… 77 more lines", "line 99")


def test_a_traceback_in_an_output_is_folded_and_other_output_stays_as_it_is() -> None:
    data = b"start \xff\n" + LONG.encode()

    assert folded_output(data).splitlines()[0] == b"start \xff" and b"3 frames in request.py" in folded_output(data)
    compiler = b"a.c:1:5: error: expected\n  int x = ;\n          ^~\n" * 30
    assert folded_output(compiler) == compiler
