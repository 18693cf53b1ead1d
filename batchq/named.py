"""Tuples with named fields, like ``typing.NamedTuple`` at a tenth of its cost.

A run defines fifty of them when it starts. Importing ``typing`` takes as long as a whole add, and each of its classes
compiles a constructor, which is done here at the first call.
"""

from collections import _tuplegetter  # type: ignore[attr-defined]  # namedtuple reads its fields with it, too

__all__ = ["NamedTuple"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Fields(type):
        """Turns each annotation into a field; a value assigned to it in the class is its default."""

        def __new__(kind, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            body["_fields"] = body["__match_args__"] = fields
            body["_defaults"] = tuple([body[field] for field in fields if field in body])
            body["__slots__"] = ()
            for place, field in enumerate(fields):
                body[field] = _tuplegetter(place, None)
            return super().__new__(kind, name, bases, body)

    class NamedTuple(tuple, metaclass=_Fields):
        """The base class. It has the part of ``collections.namedtuple`` that batchq uses."""

        def __new__(cls, *values, **named):
            """Build the first value of a class, and the constructor for all later ones."""
            fields = ", ".join(cls._fields)
            made = eval(f"lambda cls, {fields}: _new(cls, ({fields},))", {"_new": tuple.__new__})
            made.__defaults__ = cls._defaults
            cls.__new__ = made
            return made(cls, *values, **named)

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
            return made

        def _replace(self, **named):
            made = tuple.__new__(type(self), map(named.pop, self._fields, self))
            if named:
                raise ValueError(f"{type(self).__name__} has no field {', '.join(named)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(map('%s=%r'.__mod__, zip(self._fields, self, strict=True)))})"
