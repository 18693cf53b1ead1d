"""What differs between two failures of one cause (paths, numbers, times, names), replaced by ``…``."""

import re

LONGEST = 300  #: characters of a message that count; also the bound on the work of each expression here

# One expression, tried in this order at each position.
_VARYING = re.compile(
    r"""
    (?P<keep>\[Errno\ \d+\] | \bexit\ (?:status|code)\ \d{1,3}\b
        | \b(?:HTTP(?:/[\d.]+)?|HTTP\ Error|error|status|code)[:=]?\ [45]\d\d\b)
  | (?P<url>\b[a-z][a-z0-9+.-]*://[^\s'"<>)\]}|]+)
  | (?P<mail>\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
  | (?P<uuid>\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b)
  | (?P<time>\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?)?
        | \b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s+(?:\d+\s+)?[A-Z][a-z]{2}[\s\d:]+(?:[A-Z]{3,4}\s+)?(?:\d{4})?
        | \b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{1,2}\s+\d\d:\d\d:\d\d
        | \b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?)
  | (?P<ip>\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b | (?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![\w:]))
  | (?P<path>(?<![\w<>…])(?:~|\.{1,2})?/(?:[^\s'"`‘’:;,()<>|\[\]{}=]+)? | \b[A-Za-z]:\\[^\s'":;,()<>|]+
        | (?<![\w/<>])[\w.+-]+(?:/[\w.+-]+)+)
  | (?P<hex>0[xX][0-9a-fA-F]+)
  | (?P<garbled>\ufffd+)
  | (?P<numbered>[\w.+-]*\d[\w.+-]*%?)
    """,
    re.VERBOSE,
)
_QUOTED = re.compile(r"""["`'‘“]([^"`'‘“’”\n]*)["'’”](?!\w)""")
_PLAIN_NAME = re.compile(r"[A-Za-z_]{1,40}")
# What subprocess.CalledProcessError and TimeoutExpired print: the name of the program is worth keeping.
_COMMAND = re.compile(r"^Command '(?:[\[(]')?(?:[^\s',/]*+/)*+([^\s',/]++).*' (returned|timed|died)")
_REPEATED = re.compile(r"…(?:[\s,:=.+-]*…)+")
_PLURAL = re.compile(
    r"\b(error|failure|warning|problem|test|file|line|row|job|item|time|attempt|tries|argument|second|byte)s\b"
)
# What a logger puts before the message: time, level, program and pid.
_PREFIX = re.compile(
    r"^(?:…[\s:]*|\[…\]\s*|[\[(]?(?:ERROR|FATAL|CRITICAL|SEVERE|EMERG)[\])]?[\s:|-]*|[\w.$]+\[…\]:\s*|\(…\)\s*|[│|]\s+)+(?=\S)"
)


def masked(text: str, *, quotes: bool) -> str:
    """Replace what varies in ``text`` by ``…``; with ``quotes`` every quoted text, else those that are not plain names."""
    text = " ".join(text[:LONGEST].split())
    text = _COMMAND.sub(r"Command \1 … \2", text)
    text = _QUOTED.sub("'…'" if quotes else _name_or_mask, text)
    text = _VARYING.sub(lambda match: match[0] if match.lastgroup == "keep" else "…", text)
    text = joined(text)
    return _PLURAL.sub(r"\1", _PREFIX.sub("", text))


def joined(text: str) -> str:
    """Make one ``…`` of several with nothing but punctuation between them."""
    return _REPEATED.sub("…", text)


def _name_or_mask(match: "re.Match[str]") -> str:
    return f"'{match[1]}'" if _PLAIN_NAME.fullmatch(match[1]) else "'…'"
