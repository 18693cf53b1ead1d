"""Two stores whose pages are looked at, and what a browser is asked about them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

from conftest import Shell

OK, FAILED = 130, 24
MODULE = """
def column(row):
    return row["price"]

def refused(n):
    raise ConnectionRefusedError(f"port {n} refused")
"""
HOSTILE = (
    "<script>window.pwned = 1; alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "<!--<script>",
    "</pre></details></article><iframe src=javascript:alert(3)>",
    "\"'><svg/onload=alert(4)>",
    "<style>*{display:none}</style><link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<base href=http://127.0.0.1:9/><meta http-equiv=refresh content=0>",
    "{{ 7*7 }}{% include '/etc/passwd' %}",
    "\x1b[2J\x1b]0;pwned\x07",
    "a\u202egpj.exe\u2028\u2029",
    "&#27;&lt;b&gt;",
    "x" * 3000,
    "𝕏\u0301" * 300,
    "constructor __proto__ toString",
)


def add_night(shell: Shell) -> None:
    """Add 154 jobs to the batch ``night``, of which 24 will fail for four reasons."""
    (shell.folder / "mine.py").write_text(MODULE)
    jobs: list[dict[str, Any]] = [{"command": "true", "queue": "cpu"} for _ in range(OK)]
    jobs[5:5] = [{"call": "mine:column", "args": {"row": {"n": n}}, "queue": "cpu"} for n in range(10)]
    jobs[40:40] = [{"call": "mine:refused", "args": {"n": n}, "queue": "net"} for n in range(7)]
    jobs[50:50] = [{"command": f"echo bad sum of part-{n} >&2; exit 3", "queue": "net"} for n in range(5)]
    jobs[60:60] = [{"command": ["sleep", "9"], "timeout": "50ms", "queue": "cpu"} for _ in range(2)]
    lines = "".join(json.dumps(job | {"name": f"image-{n:03}", "batch": "night"}) + "\n" for n, job in enumerate(jobs))
    shell("add", "-q", "--format", "jsonl", "-", stdin=lines)


def add_hostile(shell: Shell) -> None:
    """Add jobs whose names, commands, queues, output and exceptions are meant to harm a reader."""
    for n, text in enumerate(HOSTILE):
        (shell.folder / f"evil{n}").write_bytes(b"first\n" + text.encode() + b"\xff\xfe\n")
    (shell.folder / "evil.py").write_text(f"EVIL = {HOSTILE!r}\ndef fail(n, text):\n    raise ValueError(EVIL[n])\n")
    shell("add", "-q", "--format", "jsonl", "-", stdin=_hostile_jobs())


def _hostile_jobs() -> str:
    jobs: list[dict[str, Any]] = []
    for n, text in enumerate(HOSTILE):
        plain = text.replace("\x00", "")
        jobs += [
            {
                "name": f"{n} {''.join(c for c in text[:60] if c.isprintable())}",
                "command": ["sh", "-c", f"cat evil{n} >&2; exit 3"],
            },
            {"call": "evil:fail", "args": {"n": n, "text": plain}, "queue": f"<b>{n % 3}"},
            {"command": [plain, plain]},
            {"command": ["echo", plain]},
        ]
    return "".join(json.dumps(job | {"batch": "<i>night"}) + "\n" for job in jobs)


#: Elements that the template does not make, whatever text it gets
STRANGE = """[...document.querySelectorAll('*')].filter(one => !(
    'HTML HEAD META TITLE STYLE BODY HEADER MAIN FOOTER SECTION ARTICLE DIV P H1 H2 H3 SPAN B A CODE PRE DETAILS SUMMARY'
    + ' FIGURE FIGCAPTION TABLE THEAD TBODY TR TH TD INPUT BUTTON NOSCRIPT SCRIPT').split(' ').includes(one.tagName)
    && !one.closest('svg')).map(one => one.tagName)
  .concat([...document.querySelectorAll('*')].flatMap(one => [...one.attributes].map(a => a.name))
    .filter(name => name.startsWith('on')))
  .concat(document.scripts.length == 2 ? [] : ['scripts'])
  .concat(document.querySelectorAll('style').length == 1 ? [] : ['styles'])
  .concat(document.querySelectorAll('meta').length == 5 ? [] : ['metas'])"""

#: Tries to run and load what the policy forbids; the directives that refused it
REFUSED = """new Promise(done => {
  const found = [], said = event => { found.push(event.effectiveDirective); if (found.length == 4) done(found.sort()) };
  document.addEventListener('securitypolicyviolation', said);
  const script = document.createElement('script'); script.textContent = 'window.pwned = 1'; document.body.append(script);
  const image = new Image(); image.src = 'URL/image'; document.body.append(image);
  const style = document.createElement('style'); style.textContent = '*{color:red}'; document.body.append(style);
  fetch('URL/fetch').catch(() => 0);
  setTimeout(() => done(found), 50000);
})"""

#: For each pair of colours of text and background: the contrast, as WCAG 2 defines it
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data] };
  const light = color => rgb(color).slice(0, 3).map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
  const ground = one => { while (one && !rgb(getComputedStyle(one).backgroundColor)[3]) one = one.parentElement;
    return one ? getComputedStyle(one).backgroundColor : 'white' };
  const found = new Map();
  for (const one of document.querySelectorAll('body *')) {
    if (!one.getClientRects().length || one.disabled
        || ![...one.childNodes].some(c => c.nodeType == 3 && c.data.trim())) continue;
    const color = one.closest('svg') ? getComputedStyle(one).fill : getComputedStyle(one).color;
    const pair = [light(color), light(ground(one.closest('svg')?.parentElement ?? one))].sort((a, b) => b - a);
    found.set(color + ' on ' + ground(one), (pair[0] + .05) / (pair[1] + .05));
  }
  return [...found];
})()"""


#: The text and the edges of each label of the figure of slots
LABELS = """[...document.querySelectorAll('section[aria-labelledby=slots] svg text')].filter(one => one.textContent.trim()
    && getComputedStyle(one).opacity != '0')
  .map(one => { const box = one.getBoundingClientRect();
    return [one.textContent.replace(/ +/g, ' '), box.left, box.top, box.right, box.bottom] })"""


@contextmanager
def server() -> Iterator[tuple[str, list[str]]]:
    """A server that lists what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()
        thread.join()
