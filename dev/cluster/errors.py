"""How does this room say no? With one sentence that names what to do instead."""


class Refused(Exception):
    """The wish cannot be granted; the message is for a person and ends with a way that works."""
