"""The command line: one module a group of commands, which parses, wires and sets exit codes, and does no work itself."""
