"""Paths as the user wrote them: symbolic links stay, and are followed when the path is used."""

import os


def absolute(path: str, start: str) -> str:
    """Resolve ``path`` against the folder ``start``, keeping its links, without needless dots.

    ``..`` after a link stays: there it means the parent of the link's target, not the folder of the link.
    """
    kept: list[str] = []
    for part in os.path.join(start, path).split("/"):
        if part == ".." and (not kept or not (kept[-1] == ".." or os.path.islink("/" + "/".join(kept)))):
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


def without_dots(folder: str) -> str:
    """Return a folder as ``$PWD`` may name it: shells do not trust a path with ``..`` in it."""
    return os.path.realpath(folder) if folder.endswith("/..") or "/../" in folder else folder
