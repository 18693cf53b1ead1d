"""The Python side of jobs.example.toml: ordinary functions of the standard library, which know nothing about batchq.

A job passes its ``args`` as keywords. The return value must be JSON and becomes the job's result; printed text is kept
as the job's output; an exception fails the attempt and is stored with its traceback.
"""

import ast
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\]\(([^)#\s]+)")


def count_lines(folder: str) -> dict[str, int]:
    """Count the Python files below a folder, and their lines."""
    files = sorted(Path(folder).rglob("*.py"))
    return {"files": len(files), "lines": sum(len(file.read_text().splitlines()) for file in files)}


def longest_functions(folder: str, top: int) -> list[dict[str, Any]]:
    """Return the longest functions below a folder: where they begin, their names and lengths in lines."""
    found: list[dict[str, Any]] = []
    for file in sorted(Path(folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                found.append({"at": f"{file}:{node.lineno}", "function": node.name, "lines": lines})
    found.sort(key=lambda function: function["lines"], reverse=True)
    for function in found[:top]:
        print(f"{function['lines']:4} lines  {function['function']}  {function['at']}")
    return found[:top]


def check_links(job: Any) -> dict[str, int]:
    """For ``run --perform``: the payload of the job names a page; every file that the page links to must exist."""
    page = Path(job.payload["page"])
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link]
    if missing := [link for link in links if not (page.parent / link).exists()]:
        raise FileNotFoundError(f"{page} links to {', '.join(missing)}")
    return {"links": len(links)}


def sum_that_fails_deliberately(path: str) -> float:
    """Add up the numbers in a file that holds none, so that the report has a traceback to show."""
    return sum(float(line) for line in Path(path).read_text().splitlines())
