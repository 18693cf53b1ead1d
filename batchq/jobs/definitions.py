"""The names that a module defines, read from its source without running it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ONLY_TREE = 0x400  #: PyCF_ONLY_AST; the module ast takes 5 ms to import
_FUNCTIONS = ("FunctionDef", "AsyncFunctionDef")
_INNER = (*_FUNCTIONS, "ClassDef", "Lambda", "ListComp", "SetComp", "DictComp", "GeneratorExp")


def names_of(source: bytes) -> "dict[str, list[Any]]":
    """Return each name that the statements of a module bind, with the nodes that bind it.

    Raises SyntaxError, and ValueError, MemoryError and RecursionError for source that cannot be compiled.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree: Any = compile(source, "", "exec", _ONLY_TREE, dont_inherit=True)
    names: dict[str, list[Any]] = {}
    for node in _walk(tree.body):
        kind = type(node).__name__
        if kind in (*_FUNCTIONS, "ClassDef"):
            names.setdefault(node.name, []).append(node)
        elif kind == "Name" and type(node.ctx).__name__ == "Store":
            names.setdefault(node.id, []).append(node)
        elif kind == "alias":
            names.setdefault(node.asname or node.name.partition(".")[0], []).append(node)
        elif kind in ("MatchAs", "MatchStar") and node.name is not None:
            names.setdefault(node.name, []).append(node)
    return names


def is_generator(node: "Any") -> bool:
    """Return whether this node is an undecorated function that yields."""
    if type(node).__name__ not in _FUNCTIONS or node.decorator_list:
        return False
    return any(type(one).__name__ in ("Yield", "YieldFrom") for one in _walk(node.body))


def _walk(nodes: "list[Any]") -> "Iterator[Any]":
    """Yield all nodes below, except those inside inner functions and classes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        if type(node).__name__ in _INNER:
            continue
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                waiting += [one for one in value if hasattr(one, "_fields")]
            elif hasattr(value, "_fields"):
                waiting.append(value)
