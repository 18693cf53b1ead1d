"""The failure of an engine that cannot be used at all."""


class Unfit(Exception):
    """An engine cannot be used; the message says why, in one sentence."""
