"""The work of the messenger of a run: ping at its start, and deliver the letter about its end."""

import os
import uuid
from typing import Any

from batchq.notify import letters
from batchq.notify.letters import Letter
from batchq.notify.target import is_url
from batchq.processes.messenger import Messages, run_line
from batchq.processes.spawn import OF_A_JOB


def start() -> dict[str, Any]:
    """Return the message that the run has begun."""
    return {"begun": True}


def end(letter: Letter) -> dict[str, Any]:
    """Return the message with the letter about a run."""
    return {"letter": letter}


def trouble(text: str) -> dict[str, Any]:
    """Return the message that a run ends with an error."""
    return {"trouble": text}


def over(status: int) -> dict[str, Any]:
    """Return the message that the run and all of its processes have ended, with this status."""
    return {"status": status}


def deliver(target: str, path: str, messages: Messages) -> str | None:
    """Deliver what the messages ask for; return "" after a success, why it failed, or None if nothing was to be sent."""
    rid = str(uuid.uuid4())
    letter, text = None, None
    for message in messages:
        if "begun" in message and is_url(target):
            from batchq.notify.pings import ping

            ping(target, rid, "", suffix="/start", is_over=messages.has_more)  # of the two, only the last one counts
        if "letter" in message:
            letter = Letter(*message["letter"])
        text = message.get("trouble", text)
        if "status" in message:
            return _send(target, rid, message["status"], path, letter, text)
    return None  # the guardian was killed


def _send(target: str, rid: str, status: int, path: str, letter: Letter | None, text: str | None) -> str | None:
    if letter is None and status == 0:
        return None  # another run is at work
    if letter is None:
        letter = letters.of_status(status, path, text)
    if is_url(target):
        from batchq.notify.pings import ping

        return ping(target, rid, letter.text, suffix="/fail" if status else "")
    if not letter.has_news:
        return None
    own = {name: value for name, value in os.environ.items() if name not in OF_A_JOB}
    facts = letter.facts | {"STATUS": status}
    named = {f"BATCHQ_{name}": str(value) for name, value in facts.items() if value is not None}
    return run_line(target, letter.text, own | named)
