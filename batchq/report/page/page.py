"""The page: a Summary and its jobs as one HTML file.

Nothing is loaded from anywhere, which its content security policy also enforces: it allows one style and one script, by
their hashes, and nothing else. So even if text of a job got into the page as HTML, it could neither run nor load anything.
"""

import os

from batchq.errors import UsageError
from batchq.report.page import charts
from batchq.report.page.table import note, table
from batchq.report.page.view import title_of, view
from batchq.report.page.zone import zone
from batchq.store.looking.briefs import Briefs
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.report.flow import Flow
    from batchq.report.summary import Summary

_FEWEST = 5  #: attempts of which a figure shows more than the table of jobs
_HERE = os.path.dirname(__file__)


def page(summary: "Summary") -> str:
    """Return the page for a Summary that was built to be drawn.

    Without vl-convert it has no figures, and says so. Raises UsageError without Jinja2.
    """
    briefs = summary.briefs or Briefs(1, 1, [])
    here = zone(summary.timing.first_started or summary.at)
    jobs = table(briefs, summary.reasons, here)
    style, script = _text("page.css"), _text("page.js")
    figures = _figures(summary.flow, here.offset)
    html: str = environment().get_template("page.html").render(
        view(summary, here, title_of((job.batch for job in briefs.jobs), summary.store)),
        svg=figures,
        sampled=summary.flow.step if summary.flow else 1,
        columns=jobs.columns, rows=jobs.first, data=jobs.data, note=note(briefs),
        style=style, script=script, style_hash=hash_of(style), script_hash=hash_of(script),
    )  # fmt: skip
    return html


def environment() -> "Any":
    """Return the environment of the template: it escapes all text, after making it visible. Raises UsageError."""
    try:
        import jinja2
    except ImportError:
        raise UsageError("a page needs Jinja2 of batchq[html]: pip install jinja2 vl-convert-python") from None

    def shown(value: object) -> object:
        return visible(value) if type(value) is str else value  # not of Markup, which is ours

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def hash_of(text: str) -> str:
    """Return the hash of a style or script as a content security policy names it."""
    from base64 import b64encode
    from hashlib import sha256

    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _figures(flow: "Flow | None", offset: int) -> dict[str, str] | None:
    """Draw the figures, none of a handful of attempts; None if vl-convert is not there."""
    try:
        return charts.figures(flow, offset) if flow and flow.attempts >= _FEWEST else {}
    except ImportError:
        return None


def _text(name: str) -> str:
    with open(os.path.join(_HERE, name), encoding="utf-8") as file:
        return file.read()
