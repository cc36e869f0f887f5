"""How much memory may still be used?"""

from pathlib import Path


def available_memory() -> int:
    """In bytes; what the kernel could hand out without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
