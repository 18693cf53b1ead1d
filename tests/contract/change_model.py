"""What changed since last time, by the definitions alone: slow, in plain Python, over all rows of a store."""

from typing import Any, NamedTuple

from batchq.store.file.connection import Store


class Row(NamedTuple):
    id: int
    add: int
    state: str
    batch: str
    queue: str
    kind: str
    name: str | None
    key: str | None
    work: str

    @property
    def known_by(self) -> str:
        return f"key {self.key}" if self.key and not self.key.startswith("auto:") else f"work {self.work}"


class Model:
    """A store as lists. ``jobs`` has the jobs that exist; ``spans`` the ids of each add, also of pruned jobs."""

    def __init__(self, store: Store) -> None:
        rows = store.fetch("SELECT id, add_id, state, batch, queue, kind, name, key, work FROM jobs ORDER BY id")
        self.jobs = [Row(*row) for row in rows]
        adds = store.fetch("SELECT id, first, jobs, files FROM adds WHERE jobs > 0 ORDER BY id")
        self.spans: dict[int, range] = {first: range(first, first + jobs) for _, first, jobs, _ in adds}
        self.files = {first: files for _, first, _, files in adds}

    def of(self, add: int) -> list[Row]:
        return [job for job in self.jobs if job.add == add]

    # --- the same job ---------------------------------------------------------------------------------------------

    def offset(self, here: int, there: int) -> int | None:
        """By how much ids differ if the lists are the same but for jobs at one end; None if that is not so or unclear."""
        spans = self.spans[here], self.spans[there]
        offsets = {spans[1][0] - spans[0][0], spans[1][-1] - spans[0][-1]}
        fitting: list[int] = [one for one in offsets if all(alike(a, b) for a, b in self.placed(here, there, one))]
        return fitting[0] if len(fitting) == 1 else None

    def placed(self, here: int, there: int, offset: int) -> list[tuple[Row, Row]]:
        return [(a, b) for a in self.of(here) for b in self.of(there) if b.id == a.id + offset]

    def twins(self, here: int, there: int, *, by_place: bool = True) -> dict[int, int]:
        offset = self.offset(here, there) if by_place else None
        placed = self.placed(here, there, offset) if offset is not None else []
        found = {a.id: b.id for a, b in placed if surely(a, b)}
        mine, theirs = self.of(here), self.of(there)

        def alone(job: Row, jobs: list[Row], mark: Any) -> bool:
            return [mark(other) for other in jobs].count(mark(job)) == 1

        def pairs(mark: Any, who: Any) -> None:
            taken = {*found}, {*found.values()}
            for a in mine:
                for b in theirs:
                    if a.id in taken[0] or b.id in taken[1] or mark(a) != mark(b) or not (who(a) or who(b)):
                        continue
                    if alone(a, mine, mark) and alone(b, theirs, mark) and (a.batch, a.kind) == (b.batch, b.kind):
                        found[a.id] = b.id

        pairs(lambda job: job.name or job.id, lambda _: True)
        in_place = {job.id for pair in placed for job in pair}
        pairs(
            lambda job: (job.batch, job.kind, job.name, job.known_by),
            lambda job: offset is None or job.id in in_place,
        )
        return found

    # --- last time ------------------------------------------------------------------------------------------------

    def last_time(self, add: int) -> int | None:
        earlier = sorted((one for one in self.spans if one < add and self.of(one)), reverse=True)
        if self.files[add]:
            for one in earlier:
                if self.files[one] == self.files[add] and self.is_same(add, one):
                    return one
        batch = next(job.batch for job in self.jobs if job.id >= add)
        wanted = {one for one in earlier if any(job.batch == batch for job in self.of(one))}
        if batch == "default":  # all of these adds are small
            wanted = {*earlier} if any(job.key for job in self.of(add)) else set()
        for job in self.of(add):
            same = [
                other.add
                for other in self.jobs
                if other.id < add
                and other.batch == job.batch
                and other.kind == job.kind
                and other.name == job.name
                and (job.name is not None or other.work == job.work)
            ]
            wanted |= {*same[-1:]}
        return next((one for one in earlier if one in wanted and self.is_same(add, one)), None)

    def is_same(self, add: int, earlier: int) -> bool:
        spans = self.spans[add], self.spans[earlier]
        offsets = {spans[1][0] - spans[0][0], spans[1][-1] - spans[0][-1]}
        if any(alike(a, b) for one in offsets for a, b in self.placed(add, earlier, one)):
            return True
        return bool(self.twins(add, earlier, by_place=False))

    # --- what changed ---------------------------------------------------------------------------------------------

    def change(self, chosen: set[int], *, is_narrow: bool | None, queue: str | None) -> dict[str, Any] | None:
        """``chosen`` are the selected jobs; ``is_narrow`` if a state leaves out some of an add, None if ids may do so."""
        older: set[int] = set()
        pairs = []
        is_part = False
        for add in sorted({job.add for job in self.jobs if job.id in chosen}, reverse=True):
            earlier = self.last_time(add)
            if earlier is not None:
                if add not in older:
                    pairs.append((add, earlier))
                older.add(earlier)
            is_part = is_part or add in older
        if not pairs:
            return None
        found: dict[str, Any] = {name: [] for name in ("new", "again", "unknown", "recovered", "gone")}
        found |= {"nights": {}, "is_part": is_part, "now": set(), "then": set()}
        for add, earlier in sorted(pairs):
            self._compare(add, earlier, chosen, is_narrow, queue, found)
        return found

    def _compare(
        self, add: int, earlier: int, chosen: set[int], is_narrow: bool | None, queue: str | None, found: dict[str, Any]
    ) -> None:
        state = {job.id: job.state for job in self.jobs}
        twin = self.twins(add, earlier)
        back = {b: a for a, b in twin.items()}
        found["now"] |= {*self.spans[add]}
        found["then"] |= {*self.spans[earlier]}
        for job in self.of(add):
            if job.id in chosen and job.state == "failed":
                then = state.get(twin.get(job.id, 0))
                found[{"succeeded": "new", "failed": "again"}.get(then or "", "unknown")].append(job.id)
                if then == "failed":
                    found["nights"][job.id] = self.in_a_row(add, job.id)
        for job in self.of(earlier):
            if job.state != "failed" or queue not in (None, job.queue):
                continue
            if job.id in back:
                found["recovered"] += [one for one in [back[job.id]] if one in chosen and state[one] == "succeeded"]
            elif (
                not (is_narrow or (is_narrow is None and not {*self.spans[add]} <= chosen))
                and len(self.of(add)) == len(self.spans[add])
                and self.is_absent(job, add)
            ):
                found["gone"].append(job.id)

    def is_absent(self, job: Row, add: int) -> bool:
        if job.name is not None:
            return all(other.name != job.name for other in self.of(add))
        return all(other.known_by != job.known_by for other in self.of(add))

    def in_a_row(self, add: int, id: int) -> int:
        state = {job.id: job.state for job in self.jobs}
        times = 1
        while (earlier := self.last_time(add)) is not None:
            other = self.twins(add, earlier).get(id)
            if other is None or state[other] != "failed":
                break
            times, add, id = times + 1, earlier, other
        return times


def alike(a: Row, b: Row) -> bool:
    same = (a.batch, a.kind, a.name) == (b.batch, b.kind, b.name)
    return same and (a.name is not None or a.work == b.work or (a.key is not None and a.key == b.key))


def surely(a: Row, b: Row) -> bool:
    return alike(a, b) and (a.work == b.work or (a.key is not None and a.key == b.key))
