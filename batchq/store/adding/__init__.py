"""Adding jobs: new ones, known ones, and their parents."""
