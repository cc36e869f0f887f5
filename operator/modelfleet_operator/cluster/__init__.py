"""The API server, the lease, and the health of the process: the only I/O beside kopf's."""
