"""The Python interface: what ``import batchq`` offers, except ``context``. Modules are imported when first used."""
