"""What order, keys, limits and control mean, in plain dictionaries: the model beside which ``order_machine`` walks.

Nothing is kept that follows from something else: who waits for whom is counted anew after every step.
"""

from collections.abc import Iterable
from typing import Any

from batchq.jobs.attempt import CANCELLED, CRASHED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT

Row = dict[str, Any]
OVER = ("succeeded", "failed", "cancelled")
DEAD = ("failed", "cancelled")
DAY = 86_400_000


class Refused(Exception):
    """The add must be refused; nothing of it counts."""


def new_row(job: int, fields: dict[str, Any], now: int) -> Row:
    """A job that was just added: held, or to be claimed now or when it is due."""
    due = now + fields["delay"] if fields.get("delay") else None
    return {
        "state": "held" if fields.get("hold") else "queued" if due is None else "scheduled", "due_at": due, "id": job,
        "name": fields.get("name"), "batch": fields["batch"], "queue": fields["queue"], "key": fields.get("key"),
        "priority": fields["priority"], "slots": fields["slots"], "kind": fields["kind"], "budget": fields["budget"],
        "attempt": 0, "failures": 0, "crashes": 0, "interruptions": 0, "token": None, "runner": None, "begun": False,
        "unneeded": 0, "asked": 0, "cause": None, "finished_at": None, "is_retry": False, "is_given_up": False,
        "due_from": now,
    }  # fmt: skip


class Model:
    """``jobs`` by id, ``parents`` as child → parent → kind, ``keys`` as key → [job, added, seen, how it ended]."""

    def __init__(self) -> None:
        self.jobs: dict[int, Row] = {}
        self.parents: dict[int, dict[int, str]] = {}
        self.keys: dict[str, list[Any]] = {}
        self.last = 0
        self.newest: set[int] = set()  # the jobs of the newest add that was not refused: ``last``

    # --- what follows --------------------------------------------------------------------------------------------------

    def is_open(self, job: int) -> bool:
        return self.jobs[job]["state"] not in OVER

    def waits_for(self, job: int) -> int:
        """How many parents of a job are not over."""
        return sum(self.is_open(parent) for parent in self.parents.get(job, ()))

    def killers(self, job: int) -> list[int]:
        """The parents because of which a job can never run."""
        above = self.parents.get(job, {}).items()
        return [parent for parent, kind in above if kind == "after" and self.jobs[parent]["state"] in DEAD]

    def has_failed(self, job: int) -> bool:
        """Whether a job counts as failed for those that run after a failure."""
        row = self.jobs[job]
        return row["state"] in DEAD and not row["unneeded"]

    def hoped(self, job: int, again: Iterable[int] = ()) -> tuple[list[int], bool]:
        """The parents of which one must fail for a job to run, and whether one did or still can; also those of ``again``
        can."""
        above = [parent for parent, kind in self.parents.get(job, {}).items() if kind == "after_failed"]
        return above, any(self.is_open(one) or self.has_failed(one) or one in again for one in above)

    def doom(self, job: int) -> tuple[int, int] | None:
        """The parent because of which a waiting job is cancelled now, and whether it is unneeded."""
        if self.jobs[job]["state"] not in ("queued", "scheduled", "blocked", "held"):
            return None
        if killers := self.killers(job):
            killer = min(killers, key=lambda one: (self.jobs[one]["unneeded"], one))
            return killer, self.jobs[killer]["unneeded"]
        above, can_run = self.hoped(job)
        return (min(above), 1) if above and not can_run else None

    def follow(self, now: int) -> int:
        """Let every waiting job be where its parents want it; how many were cancelled."""
        cancelled = 0
        while doomed := {job: doom for job in self.jobs if (doom := self.doom(job))}:
            cancelled += len(doomed)
            for job, (killer, unneeded) in doomed.items():
                self.jobs[job] |= {
                    "state": "cancelled", "cause": killer, "unneeded": unneeded, "due_at": None, "finished_at": now,
                }  # fmt: skip
        for job, row in self.jobs.items():
            if row["state"] in ("queued", "scheduled") and self.waits_for(job):
                row["state"] = "blocked"
                row["due_at"] = None if row["is_retry"] else row["due_at"]
                row["is_retry"] = False
            elif row["state"] == "blocked" and not self.waits_for(job):
                self.wake(row, now)
        return cancelled

    @staticmethod
    def wake(row: Row, now: int) -> None:
        is_due = row["due_at"] is None or row["due_at"] <= now
        row |= {"state": "queued" if is_due else "scheduled", "due_at": None if is_due else row["due_at"]}
        row["is_retry"] = False

    # --- adding --------------------------------------------------------------------------------------------------------

    def add(self, specs: list[dict[str, Any]], now: int) -> tuple[list[int], list[str]]:
        """The ids and fates of an add; Refused leaves this model spoilt."""
        ids: list[int] = []
        fates: list[str] = []
        bound: dict[int, dict[str, Any]] = {}
        named: dict[str, list[int]] = {}
        fresh: set[str] = set()
        first = self.last + 1
        changed: dict[int, dict[str, Any]] = {}
        gone = {entry[0]: entry[3] for entry in self.keys.values() if entry[0] not in self.jobs}  # pruned
        for spec in specs:
            job, fate = self._meet(spec, fresh, now)
            if fate == "added":
                job = self.last = self.last + 1
                self.jobs[job] = new_row(job, spec, now)
                if spec.get("key"):
                    fresh.add(spec["key"])
                    self.keys[spec["key"]] = [job, now, now, None]
            else:
                named.setdefault(spec.get("name") or "", []).append(job)
            changed |= {job: spec} if fate in ("replaced", "rerun") else {}
            bound |= {job: spec} if fate in ("added", "replaced", "rerun") else {}
            ids.append(job)
            fates.append(fate)
        self._redefine(changed, now)
        for job in range(first, self.last + 1):
            named.setdefault(self.jobs[job]["name"] or "", []).append(job)
        for job, spec in bound.items():
            sure = False
            for kind in ("after_any", "after_failed", "after"):
                for word in spec.get(kind, ()):
                    sure |= self._bind(job, spec, kind, word, named, gone)
            above = self.parents.get(job, {})
            hoped = [parent for parent, kind in above.items() if kind == "after_failed"]
            if sure:
                above |= dict.fromkeys(hoped, "after_any")
            elif spec.get("after_failed") and not hoped:
                raise Refused("nothing can fail")
        if any(job in self._above(job) for job in bound):
            raise Refused("a circle")
        self.newest = {*range(first, self.last + 1), *changed}
        self.follow(now)
        return ids, fates

    def _redefine(self, changed: dict[int, dict[str, Any]], now: int) -> None:
        """Known jobs begin anew with another definition; what was cancelled because one had failed comes back with it."""
        for job in changed:
            self.parents.pop(job, None)
        self.reopen({job for job in changed if not self.is_open(job)}, now)
        for job, spec in changed.items():
            kept = {name: self.jobs[job][name] for name in ("key", "attempt")}
            self.jobs[job] = new_row(job, spec, now) | kept

    def _meet(self, spec: dict[str, Any], fresh: set[str], now: int) -> tuple[int, str]:
        known = self.keys.get(spec.get("key") or "")
        if known is None:
            return 0, "added"
        job, added, seen, ended = known
        is_here = job in self.jobs
        state = self.jobs[job]["state"] if is_here else ended
        mode, unique = spec["if_exists"], spec["unique"]
        if spec["key"] not in fresh:
            known[1] = added = min(added, now)  # the clock was set back
            if unique == "active" and state in (None, "unneeded", *OVER):
                return 0, "added"
            if isinstance(unique, int) and now >= added + unique:
                return 0, "added"
            if mode in ("rerun-failed", "replace") and not is_here and state in DEAD:
                return 0, "added"
            known[2] = now if now - seen > DAY else seen
        if mode == "reject":
            raise Refused(mode)
        if mode == "skip" or not is_here:
            return job, "skipped"
        if state == "running":
            return job, "running"
        if mode == "rerun-failed":
            return job, "rerun" if state in DEAD else "skipped"
        is_same = state == "succeeded" and self.jobs[job]["kind"] == spec["kind"]  # which is all that they do
        return job, "skipped" if is_same else "replaced"

    def begun_keys(self) -> list[str]:
        """The keys of jobs that run, or ended without success."""
        begun = ("running", *DEAD)
        return [
            key for key, (job, *_) in sorted(self.keys.items()) if job in self.jobs and self.jobs[job]["state"] in begun
        ]

    def _bind(
        self, job: int, spec: dict[str, Any], kind: str, word: str, named: dict[str, list[int]],
        gone: dict[int, str | None],
    ) -> bool:  # fmt: skip
        """Tie a job to its parents; whether one that was ``gone`` by then, with its end, failed as ``kind`` wants it."""
        of_batch = {
            other for other, row in self.jobs.items()
            if row["name"] == word and row["batch"] == spec["batch"] and other != job
        }  # fmt: skip
        if word.startswith("batch:"):
            found = {other for other, row in self.jobs.items() if row["batch"] == word[6:]}
            if spec["batch"] == word[6:]:
                raise Refused("its own batch")
        elif mine := {other for other in named.get(word, ()) if other != job}:
            found = mine
        elif word == "last":  # of an add that stored nothing it is nothing
            found = self.newest & {*self.jobs} - {job}
        elif of_batch:
            found = of_batch
        else:
            number = word.removeprefix("id:")
            found = {int(number)} & {*self.jobs, *gone} - {job} if number.isdecimal() else set()
        if not found and word != "last":
            raise Refused("no such parent")
        sure = False
        for parent in found:
            if parent in gone:
                sure |= kind == "after_failed" and gone[parent] in DEAD
                if kind == "after" and gone[parent] in (*DEAD, "unneeded"):
                    raise Refused("a pruned parent had failed")
                continue
            self.parents.setdefault(job, {})[parent] = kind
        return sure

    def _above(self, job: int) -> set[int]:
        seen: set[int] = set()
        ahead = list(self.parents.get(job, ()))
        while ahead:
            if (one := ahead.pop()) not in seen:
                seen.add(one)
                ahead += self.parents.get(one, ())
        return seen

    # --- by hand -------------------------------------------------------------------------------------------------------

    def reopen(self, chosen: Iterable[int], now: int, *, orphans: bool = True) -> tuple[int, int]:
        """Put jobs back that are over: how many of the chosen ones, and how many others with them.

        Without ``orphans`` not those that were cancelled because of one that was pruned since.
        """
        chosen = set(chosen)
        back = set(chosen)
        while (
            more := {
                job
                for job, row in self.jobs.items()
                if row["state"] == "cancelled"
                and (row["cause"] in back or (row["unneeded"] and back.intersection(self.hoped(job)[0])))
            }
            - back
        ):
            back |= more
        if not orphans:
            back -= {job for job in back if self.jobs[job]["cause"] not in (None, *self.jobs)}
        while stuck := {
            job for job in back
            if set(self.killers(job)) - back or ((hoped := self.hoped(job, back))[0] and not hoped[1])
        }:  # fmt: skip
            back -= stuck
        for job in back:
            self.jobs[job] |= {
                "state": "queued", "failures": 0, "crashes": 0, "interruptions": 0, "asked": 0, "cause": None,
                "unneeded": 0, "finished_at": None, "is_retry": False,
            }  # fmt: skip
        self.follow(now)
        return len(back & chosen), len(back - chosen)

    def cancel(self, chosen: Iterable[int], now: int) -> int:
        """Cancel what waits, ask for what runs; how many others were cancelled with them."""
        for job in chosen:
            row = self.jobs[job]
            if row["state"] == "running":
                row["asked"] = 1
            else:
                row |= {"state": "cancelled", "due_at": None, "finished_at": now}
        return self.follow(now)

    def hold(self, chosen: Iterable[int]) -> None:
        for job in chosen:
            row = self.jobs[job]
            row |= {"state": "held", "due_at": None if row["is_retry"] else row["due_at"], "is_retry": False}
            row["is_given_up"] = False

    def release(self, chosen: Iterable[int], now: int) -> None:
        for job in chosen:
            row = self.jobs[job]
            row |= {"interruptions": 0, "is_given_up": False}
            if self.waits_for(job):
                row["state"] = "blocked"
            else:
                self.wake(row, now)

    def prune(self, older: int, states: tuple[str, ...], keep: int, forget: int | None, now: int) -> int:
        """Remove what is over, was so for long enough and has no child that is not; how many."""
        newest = sorted((job for job, row in self.jobs.items() if row["state"] in states), reverse=True)
        gone = {
            job for job in newest[keep:]
            if self.jobs[job]["finished_at"] < now - older
            and not any(job in above and self.is_open(child) for child, above in self.parents.items())
        }  # fmt: skip
        for child, above in self.parents.items():  # the pruned one is the cause now, or it would be forgotten
            lost = [
                job
                for job, kind in above.items()
                if job in gone and kind == "after" and self.jobs[job]["state"] in DEAD
            ]
            if lost and self.jobs[child]["state"] == "cancelled" and self.jobs[child]["cause"] is not None:
                self.jobs[child]["cause"] = min(lost)
        for above in self.parents.values():  # what a failure has decided stays
            if any(kind == "after_failed" and job in gone and self.has_failed(job) for job, kind in above.items()):
                above |= {job: "after_any" for job, kind in above.items() if kind == "after_failed"}
        for job in gone:
            row = self.jobs.pop(job)
            self.parents.pop(job, None)
            for above in self.parents.values():
                above.pop(job, None)
            if row["key"] in self.keys and self.keys[row["key"]][0] == job:
                self.keys[row["key"]][3] = "unneeded" if row["unneeded"] else row["state"]
        if forget is not None:
            self.keys = {
                key: entry for key, entry in self.keys.items()
                if entry[0] in self.jobs or entry[2] >= now - forget - DAY
            }  # fmt: skip
        return len(gone)

    # --- running -------------------------------------------------------------------------------------------------------

    def settle(self, job: int, status: str, due: int | None, now: int) -> None:
        """What an outcome makes of a job, before its parents are asked."""
        row = self.jobs[job]
        spends = {FAILED: "failures", TIMED_OUT: "failures", CRASHED: "crashes", INTERRUPTED: "interruptions"}
        limit = {FAILED: row["budget"], TIMED_OUT: row["budget"], CRASHED: 3, INTERRUPTED: 10}.get(status, 0)
        row["interruptions"] = 0 if status != INTERRUPTED else row["interruptions"]
        is_spent = True
        if spent := spends.get(status):
            row[spent] += 1
            is_spent = row[spent] >= limit
        row |= {"token": None, "runner": None, "begun": False}
        if status == INTERRUPTED:
            row |= {"state": "held" if is_spent else "queued", "is_given_up": is_spent}
        elif spent and not is_spent:
            assert (due is None) == bool(row["asked"])
            row |= {"state": "scheduled", "due_at": due, "due_from": now, "is_retry": True}
        else:
            row["state"] = {SUCCEEDED: "succeeded", CANCELLED: "cancelled"}.get(status, "failed")
        if row["asked"] and row["state"] not in OVER:
            row |= {"state": "cancelled", "due_at": None, "is_retry": False}
        if row["state"] in OVER:
            row["finished_at"] = now

    def promote(self, now: int) -> None:
        for row in self.jobs.values():
            if row["state"] == "scheduled" and row["due_from"] > now:  # the clock was set back
                row |= {"due_at": now + row["due_at"] - row["due_from"], "due_from": now}
            if row["state"] == "scheduled" and row["due_at"] <= now:
                row |= {"state": "queued", "due_at": None, "is_retry": False}
