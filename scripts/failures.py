"""Print the failures again from the results of a pytest (``--junitxml``): scripts/failures.py FILE

They are then at the end of a long output: a line for each failed test, and below it the first lines of the reason.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

LINES = 6
"""Lines of the reason; all of it is further up."""


def main() -> None:
    """Print the failures, or that no test failed."""
    file = Path(sys.argv[1])
    try:
        cases = list(ElementTree.parse(file).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        cases = []
    ends = [(case, end) for case in cases for tag in ("failure", "error") for end in case.iter(tag)]
    for case, end in ends:
        print(f"{end.tag.upper()} {place(case)}")
        print("\n".join(f"    {line}" for line in reason(end)))
    if not ends:
        print(f"{file.stem}: pytest failed, and no test of {len(cases):,}; see its output above")


def place(case: ElementTree.Element) -> str:
    """Return the id by which pytest runs the test."""
    words = case.get("classname", "").split(".")
    # tests.e2e.test_run or tests.e2e.test_run.TestClass: the file is the part that exists on disk.
    for cut in range(len(words), 0, -1):
        file = "/".join(words[:cut]) + ".py"
        if Path(file).is_file():
            return "::".join((file, *words[cut:], case.get("name", "")))
    return ".".join(filter(None, (*words, case.get("name", ""))))


def reason(end: ElementTree.Element) -> list[str]:
    """Return the first lines of the reason: the marked ones, or the message if none is marked."""
    text = end.text or ""
    marked = [line for line in text.splitlines() if line.startswith("E ")]
    lines = marked or (end.get("message") or text).splitlines()
    return [line[:300] for line in lines[:LINES]]


if __name__ == "__main__":
    main()
