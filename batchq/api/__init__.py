"""The Python face: what ``import batchq`` offers beside ``context``. One module a thing; nothing is imported eagerly."""
