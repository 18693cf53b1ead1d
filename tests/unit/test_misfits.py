"""What JSON cannot say, and where in a value that is."""

import decimal
import math
from typing import Any

import pytest

from batchq.jobs.misfits import misfit

LOOP: list[Any] = []
LOOP.append({"again": LOOP})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"rows": [1, 2, 3, {"price": decimal.Decimal(1)}]}, "args.rows[3].price: Decimal is not JSON"),
        ({1: "a", "1": "b"}, "args: the key 1 is not text"),
        ({"x": {True: 1}}, "args.x: the key True is not text"),
        ({"x": {None: 1}}, "args.x: the key None is not text"),
        ({"x": ({1.5: 1},)}, "args.x[0]: the key 1.5 is not text"),
        ({"two words": [b"x"]}, "args['two words'][0]: bytes is not JSON"),
        ({"x": [math.nan]}, "args.x[0]: nan is not JSON"),
        ({"x": -math.inf}, "args.x: -inf is not JSON"),
        ({"first": {1}, "second": {2}}, "args.first: set is not JSON"),
        ([{"a": [object()]}, {2: 3}], "args[0].a[0]: object is not JSON"),
        (LOOP, "args: is nested too deeply, or contains itself"),
    ],
)
def test_what_is_not_json_is_told_with_its_place(value: object, told: str) -> None:
    assert misfit(value, "args") == told


@pytest.mark.parametrize("value", [None, True, 3, 1e300, "text", (), (1, (2, [])), {"a": {"b": [None, False]}}])
def test_what_is_json_passes_and_a_tuple_is_a_list(value: object) -> None:
    assert misfit(value, "args") is None
