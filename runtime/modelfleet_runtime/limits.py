"""How much of anything a client or a package may make the process hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds on one request, and on what all of them hold."""

    body_bytes: int = 64 * 1024 * 1024
    """Bytes of the body, before and after decompression. Default 64 MiB."""
    bodies_bytes: int = 256 * 1024 * 1024
    """Bytes of all bodies held at once, each until it is answered. Default 256 MiB. One body
    always fits: less than `body_bytes` means `body_bytes`."""
    inflate_ratio: int = 200
    """How many bytes one byte of a compressed body may become, beyond `inflate_free_bytes`."""
    inflate_free_bytes: int = 8 * 1024 * 1024
    head_bytes: int = 64 * 1024
    """Bytes of a request's URL and headers. Default 64 KiB."""
    connections: int = 4096
    """Connections at once, on each port. Default 4096; one more is told so and closed."""
    request_id_chars: int = 128
    """A longer x-request-id is replaced by one of ours."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds on a package that is unpacked."""

    files: int = 20_000
    total_bytes: int = 256 * 1024**3
    """Bytes of everything unpacked. Default 256 GiB: volumes have bounds of their own."""
    ratio: int = 200
    """How many bytes one byte of the archive may become, once more than `ratio_free_bytes`."""
    ratio_free_bytes: int = 64 * 1024 * 1024
    depth: int = 32
    """Folders within folders."""
