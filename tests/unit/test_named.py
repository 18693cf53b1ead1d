"""Tuples with named fields: made for less than those of ``typing``, and the same to whoever uses them."""

import copy
import pickle
from typing import NamedTuple

import pytest

from batchq import named


class Ours(named.NamedTuple):
    """A place."""

    x: int
    y: int = 2
    label: "str | None" = None

    @property
    def total(self) -> int:
        return self.x + self.y


class Theirs(NamedTuple):
    """A place."""

    x: int
    y: int = 2
    label: "str | None" = None

    @property
    def total(self) -> int:
        return self.x + self.y


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_a_named_tuple_is_used_as_that_of_typing(kind: "type[Ours]") -> None:
    for _ in range(2):  # the first call makes the constructor
        one = kind(1, label="here")
        assert one == (1, 2, "here") == kind(1, 2, "here") == kind(label="here", x=1) == kind._make([1, 2, "here"])

    assert (one.x, one.y, one.label, one[-1], one.total, len(one), hash(one)) == (
        1, 2, "here", "here", 3, 3, hash((1, 2, "here")),
    )  # fmt: skip
    assert repr(one) == f"{kind.__name__}(x=1, y=2, label='here')"
    assert (one._replace(x=7), type(one._replace(x=7))) == ((7, 2, "here"), kind)
    assert one._asdict() == {"x": 1, "y": 2, "label": "here"}
    assert kind._fields == kind.__match_args__ == ("x", "y", "label")
    assert kind.__doc__ == "A place."
    for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert (other, type(other)) == (one, kind)
    match one:
        case kind(x, y, label=label):
            assert (x, y, label) == (1, 2, "here")
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_what_does_not_fit_a_named_tuple_is_refused(kind: "type[Ours]") -> None:
    one = kind(1)

    with pytest.raises(AttributeError):
        one.x = 2  # type: ignore[misc]
    for values, fields in (((), {}), ((1, 2, "", 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})):
        with pytest.raises(TypeError):
            kind(*values, **fields)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        kind._make([1])
    with pytest.raises(ValueError, match="z"):
        one._replace(z=1)  # type: ignore[call-arg]


def test_a_class_whose_first_call_was_wrong_makes_values_all_the_same() -> None:
    class Late(named.NamedTuple):
        x: int

    with pytest.raises(TypeError):
        Late()  # type: ignore[call-arg]
    assert Late(1) == (1,)
