"""The file of a scheduler of Dask, in which it writes its address."""

import json


def address(path: str) -> str:
    """Return the address. Raises OSError, ValueError, KeyError or TypeError if it is not there."""
    with open(path) as file:
        return str(json.load(file)["address"])


def address_now(path: str) -> str | None:
    """Return the address; None while it is not there."""
    try:
        return address(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
