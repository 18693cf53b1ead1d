"""A store full of hostile text, made by batchq itself: jobs have it in names, words and folder, print it and raise it."""

import json
import os
import re
from pathlib import Path

from conftest import Done, Shell

#: What may be in no file and on no terminal: C0 but tab and newline, DEL, C1, controls of direction, separators of lines
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

TEXTS: tuple[str, ...] = (
    "<script>window.pwned = 1</script>",
    "</script><img src=x onerror=alert(2)>",
    "<!--<script>",
    "--><iframe src=javascript:alert(3)>",
    "\x1b[2J\x1b]0;pwned\x07\x1b]8;;http://a\x1b\\red \x7f\x9b31m\u202e",
    "a\u202egpj.exe \u2066b\u2069 \u200fc",
    "]]>&amp;<b>]]]]><![CDATA[",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=1",
    "\r=1",
    "`rm -rf /`|pipe|| a | b |",
    "$(touch pwned); touch pwned",
    "{{ 7*7 }}{% include '/etc/passwd' %}",
    "\x01\x02\x7f\x9b31m\x08\x0c",
    "\udcff\udcfe\udc80",  # bytes that are not UTF-8
    "\ufffe\uffff",
    "x" * 70_000,
    "one\r\ntwo\rthree",
    "\u2028\u2029\u0085",
    "\"'><svg/onload=alert(4)>",
    "𝕏🙈👩‍👩‍👧" * 100,
    "e\u0301\u0327" * 200,
    "\u200b\ufeff\u00a0",
    "&#27;&#x1b;&#0;",
    "```\n# heading\n~~~\n````````````\n[link](javascript:alert(5)) ![image](http://127.0.0.1:9/x)",
    "<details><summary>x</details></pre>",
    '{"a": "b"}\n{"msg": "\\u001b[31m", "level": "fatal"}',
    'batchq_jobs{batch="x"} 7\n# HELP batchq_jobs x\n# TYPE a gauge\n"} 1\n\\',
    'a,"b""c",\n"d',
    "שלום עולם مرحبا",
    "http://127.0.0.1:9/?<b>&c=%0a%0d",
    "\x00\x00 after NUL",
)

SCREEN = 4  #: the text that would control a terminal
HELD = 4 * len(TEXTS) + 4  #: the id of the job that waits

MODULE = """
TEXTS = {texts}

def fail(n):
    kind = type("E" + TEXTS[n][:20].replace("\\0", ""), (Exception,), {{}}) if n % 2 else ValueError
    raise kind(TEXTS[n])

def give(n, **rest):
    print(TEXTS[n].encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return {{TEXTS[n].encode("utf-8", "surrogateescape").decode("utf-8", "replace"): n}}
"""


def jobs_of(n: int) -> str:
    """The jobs with one text: three failed, and one succeeded."""
    return f"{4 * n + 1}-{4 * n + 4}"


def _name(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _label(text: str) -> str:
    """A batch, queue or key: batchq refuses those that are not printable."""
    return "".join(one for one in text if one.isprintable())[:200] or "empty"


def store_of(folder: Path) -> tuple[Shell, Done]:
    """A store in a folder of a hostile name, and how its run ended; jobs succeeded, failed, were cancelled, or wait."""
    shell = Shell(folder / "<b>&'\u202e\x1b[31m`")
    shell.folder.mkdir()
    shell.env["HOME"] = str(folder)
    shell.make_store()
    (shell.folder / "evil.py").write_text(MODULE.format(texts=ascii(TEXTS)))
    jobs: list[dict[str, object]] = []
    for n, text in enumerate(TEXTS):
        (shell.folder / f"text{n}").write_bytes(b"first\n" + text.encode("utf-8", "surrogateescape") + b"\xff\n")
        where = {"batch": _label(text), "queue": _label(text[::-1]), "tags": [_label(text)]}
        printing = {"command": ["sh", "-c", f"cat text{n} >&2; cat text{n}; exit 3"], "key": f"{n} {_label(text)}"}
        jobs.append({"name": f"p{n} {_name(text)}", **where, **printing})
        jobs.append({"name": _name(text), **where, "call": "evil:fail", "args": {"n": n}})
        jobs.append({"call": "evil:give", **where, "args": {"n": n, _name(text): _name(text)}})
        jobs.append({"command": ["false", _name(text).replace("\0", "")], **where})
    jobs.append({"name": TEXTS[4], "command": "sleep 60", "timeout": "50ms"})
    jobs.append({"name": "\x1b[31mparent", "command": ["sh", "-c", "cat text4; kill -9 $$"]})
    jobs.append({"name": "\u202echild", "command": "true", "after": [_name("\x1b[31mparent").replace("\x1b", "\\x1b")]})
    jobs.append({"name": "waits " + TEXTS[0], "command": TEXTS[3], "hold": True, "queue": _label(TEXTS[0])})
    lines = "\n".join(json.dumps(job) for job in jobs)
    shell("add", "-q", "--format", "jsonl", "-", stdin=lines)
    shell("add", "-q", "--", "sh", "-c", b"printf '\\033[31m\xff' >&2; exit 3 # \xff\xfe\x1b[31m")
    ran = shell("run", "-j2", code=1)
    assert not (shell.folder / "pwned").exists()
    return shell, ran


def without_visible() -> str:
    """A program that is batchq with the two functions switched off that make text safe."""
    return (
        "import sys, json, batchq.visible, batchq.jobs.asciijson\n"
        "def as_it_is(data, *, one_line=False):\n"
        "    return data.decode('utf-8', 'replace') if isinstance(data, bytes) else data\n"
        "def dump(value, indent=None, *, tight=False):\n"
        "    return json.dumps(value, ensure_ascii=False)\n"
        "batchq.visible.visible, batchq.jobs.asciijson.dump = as_it_is, dump\n"
        "from batchq.__main__ import main\n"
        "sys.exit(main())\n"
    )


def environment_of(shell: Shell) -> dict[str, str]:
    return os.environ | shell.env
