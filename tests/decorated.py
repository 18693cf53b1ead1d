"""Decorated callables whose name says how they end; jobs of the tests import them."""

import batchq


@batchq.job(queue="images", max_attempts=3, timeout="5m", backoff="10ms")
def resize(path: str, width: int = 100) -> dict[str, object]:
    return {"path": path, "width": width}


@batchq.job
def fail(message: str) -> None:
    raise KeyError(message)


@batchq.job(max_attempts=3)
def succeed_at(attempt: int) -> int:
    now = batchq.current_job().attempt
    if now < attempt:
        raise batchq.Retry(delay="10ms")
    return now


@batchq.job(max_attempts=3, backoff="10ms")
def give_up() -> None:
    raise batchq.Discard("no use")


@batchq.job(name="who")
def who_am_i() -> list[object]:
    job = batchq.current_job()
    return [job.id, job.attempt, job.batch, job.queue, job.key]


@batchq.job
def many(first: int, *rest: int, **named: int) -> int:
    return first + sum(rest) + sum(named.values())


class Shop:
    @staticmethod
    @batchq.job(tags=("shop",))
    def sell(what: str) -> str:
        return f"sold {what}"


def half(number: int) -> float:
    if number % 2:
        raise ValueError(f"{number} is odd")
    print(f"half of {number}")
    return number / 2


def fan_out(store: str, parts: int) -> list[float]:
    with batchq.open(store) as opened:
        halves = batchq.map(half, range(0, 2 * parts, 2))
        opened.wait(halves.ids)
    return halves.results()
