"""The command line: one folder per group of commands. It parses, wires and sets exit codes; the work is done below it."""
