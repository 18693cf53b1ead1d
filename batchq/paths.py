"""Paths as their user wrote them: links stay in them, and lead where they lead when the path is used."""

import os


def absolute(path: str, start: str) -> str:
    """``path`` as from the folder ``start``, with its links as written, without needless dots.

    ``..`` after a link stays: there it does not mean the folder of the link, but the one above where that leads.
    """
    kept: list[str] = []
    for part in os.path.join(start, path).split("/"):
        if part == ".." and (not kept or not (kept[-1] == ".." or os.path.islink("/" + "/".join(kept)))):
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


def without_dots(folder: str) -> str:
    """A folder as ``$PWD`` may name it: shells believe no path with ``..`` in it."""
    return os.path.realpath(folder) if folder.endswith("/..") or "/../" in folder else folder
