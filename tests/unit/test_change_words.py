"""A change in words: one line for people, and values for JSON."""

import json

from batchq import clock
from batchq.jobs.selection import Selection
from batchq.report.change import as_values, parts, sentence
from batchq.store.looking.change import Change

AT = 1_700_000_000_000
SAME = Change(((5, 8),), ((1, 4),), AT, [], [], [], [], [], [], (0.0, 0.0), {}, 30, Selection(((1, 4),)))
MUCH = SAME._replace(
    new=[*range(1001, 2200)],
    again=[5, 6],
    unknown=[7],
    recovered=[8],
    gone=[2],
    slower=[(9, 4.0, 1.5)],
    work=(9.0, 7.5),
)


def test_the_line_counts_what_changed_in_the_order_in_which_it_matters() -> None:
    assert sentence(MUCH) == (
        f"since last time, {clock.local(AT)}: 1,199 newly failed, 2 failed again, 1 failed without a counterpart,"
        " 1 recovered, 1 gone that had failed, 1 much slower"
    )


def test_without_a_change_the_line_says_that_no_job_failed() -> None:
    assert sentence(SAME) == f"since last time, {clock.local(AT)}: no job failed"


def test_a_row_of_failures_is_told_from_three_on() -> None:
    def again(nights: dict[int, int], counted: int = 30) -> str:
        return sentence(SAME._replace(again=[*nights], nights=nights, counted=counted)).partition(": ")[2]

    assert again({5: 2, 6: 2}) == "2 failed again"
    assert again({5: 3}) == "1 failed again (3 times in a row)"
    assert again({5: 2, 6: 9}) == "2 failed again (one of them 9 times in a row)"
    assert again({5: 2, 6: 9, 7: 9}) == "3 failed again (2 of them 9 times in a row)"
    assert again({5: 30}) == "1 failed again (30 times or more in a row)"
    assert again({5: 6, 6: 6}, 6) == "2 failed again (6 times or more in a row)"


def test_if_older_adds_are_left_out_the_line_says_which_jobs_are_compared() -> None:
    assert sentence(SAME._replace(is_part=True, new=[5])).startswith("jobs 5-8 since last time, ")


def test_ids_are_ranges_that_a_command_takes() -> None:
    assert [(part.text, part.ids) for part in parts(MUCH)][:2] == [
        ("newly failed", "1001-2199"),
        ("failed again", "5-6"),
    ]


def test_json_has_each_group_even_without_a_job() -> None:
    values = json.loads(json.dumps(as_values(SAME._replace(new=[5, 7, 8], nights={6: 3, 7: 2}))))

    assert values == {
        "now": "5-8",
        "then": "1-4",
        "then_added_at": "2023-11-14T22:13:20.000Z",
        "older_left_out": False,
        "newly_failed": {"jobs": 3, "ids": "5,7-8"},
        **{group: {"jobs": 0, "ids": ""} for group in ("failed_again", "no_counterpart", "recovered", "gone")},
        "in_a_row": {"6": 3},
        "slower": [],
        "busy_seconds": 0.0,
        "busy_seconds_then": 0.0,
    }
