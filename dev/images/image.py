"""What does a build hand out?"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """`ctr --namespace k8s.io images import ARCHIVE` makes exactly this reference."""

    reference: str
    archive: Path


@dataclass(frozen=True)
class Images:
    """Those that a cluster needs."""

    operator: Image
    runtime: Image
    router: Image
