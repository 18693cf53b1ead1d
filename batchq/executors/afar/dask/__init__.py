"""An existing Dask cluster as a place of work. ``distributed`` is imported only in the bridge and at the workers."""
