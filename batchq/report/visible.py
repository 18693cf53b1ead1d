"""The same as ``batchq.visible``, under the name by which reports know it."""

from batchq.visible import visible

__all__ = ["visible"]
