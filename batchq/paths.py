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


def from_home(path: str) -> str:
    """Return ``~/night/batchq.db`` for a path in the home folder, any other as it is: for people on a terminal."""
    home = os.path.expanduser("~").rstrip("/")
    return f"~{path[len(home) :]}" if home and path.startswith(f"{home}/") else path


def without_dots(folder: str) -> str:
    """Return a folder as ``$PWD`` may name it: shells do not trust a path with ``..`` in it."""
    return os.path.realpath(folder) if folder.endswith("/..") or "/../" in folder else folder
