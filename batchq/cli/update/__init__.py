"""The command that gives stored jobs other fields: `update`."""
