"""One server a file: what it needs, how it is started, what is sent to it, what it answers."""
