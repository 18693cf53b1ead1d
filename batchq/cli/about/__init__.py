"""The commands about batchq itself: `help`, `version`, `completion`."""
