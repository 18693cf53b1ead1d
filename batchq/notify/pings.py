"""Pings over HTTP, as healthchecks understands them: ``URL/start``, ``URL`` and ``URL/fail``, each with ``?rid=``.

Imported before the first job starts, because an upgrade may replace or remove the files of batchq during the run.
"""

import encodings.idna  # noqa: F401  loaded for the first host name otherwise
import http.client
import ssl
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from tenacity import Retrying, retry_if_exception, wait_exponential

from batchq.notify.target import masked

TRIES = 3
TIMEOUT = 10.0  #: seconds that each try may wait for an answer
_FIRST_PAUSE = 0.5  #: seconds before the second try; then twice as long
_WORTH_A_RETRY = (408, 425, 429)


class Answered(Exception):
    """The server answered, and not with success."""

    def __init__(self, status: int, where: str | None) -> None:
        self.status = status
        moved = f" (moved to {masked(where)}; redirects are not followed)" if where and 300 <= status < 400 else ""
        super().__init__(f"the server answered {status}{moved}")


def address(url: str, rid: str, *, suffix: str = "") -> tuple[str, dict[str, str]]:
    """Return the URL of one ping, and the header for a user and password in it."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"Authorization": "Basic " + b64encode(unquote(user).encode()).decode()} if at else {}
    query = "&".join(part for part in (parts.query, urlencode({"rid": rid})) if part)
    path = parts.path.rstrip("/") + suffix if suffix else parts.path
    return urlunsplit((parts.scheme, host, path, query, "")), headers


def ping(
    url: str,
    rid: str,
    text: str,
    *,
    suffix: str = "",
    is_over: Callable[[], bool] = lambda: False,
    timeout: float = TIMEOUT,
) -> str:
    """POST ``text``; return "" when the server has accepted it, else why not. It stops trying once ``is_over()``."""
    where, headers = address(url, rid, suffix=suffix)
    request = Request(where, text.encode(), {**headers, "Content-Type": "text/plain; charset=utf-8"}, method="POST")
    request.add_header("User-Agent", "batchq")
    tries = Retrying(
        stop=lambda state: state.attempt_number >= TRIES or is_over(),
        wait=wait_exponential(multiplier=_FIRST_PAUSE),
        retry=retry_if_exception(_is_worth_a_retry),
        reraise=True,
    )
    try:
        tries(_post, request, timeout)
    except (OSError, http.client.HTTPException, Answered, ValueError) as error:
        reason = getattr(error, "reason", None)
        cause = reason if isinstance(reason, OSError) else error
        return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__
    return ""


def _post(request: Request, timeout: float) -> None:
    opener = OpenerDirector()  # no handler of redirects, files or ftp
    context = ssl.create_default_context() if request.type == "https" else None
    for handler in (
        ProxyHandler(), HTTPHandler(), HTTPSHandler(context=context), HTTPErrorProcessor(), HTTPDefaultErrorHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    try:
        answer = opener.open(request, timeout=timeout)
    except OSError as error:
        if (status := getattr(error, "code", None)) is not None:
            headers = getattr(error, "headers", None)
            raise Answered(status, headers and headers.get("Location")) from None
        raise
    with answer:
        pass


def _is_worth_a_retry(error: BaseException) -> bool:
    if isinstance(error, Answered):
        return error.status >= 500 or error.status in _WORTH_A_RETRY
    return isinstance(error, (OSError, http.client.HTTPException))
