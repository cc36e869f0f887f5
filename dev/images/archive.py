"""How do layers become one file that containerd imports fast and under the right name?

The layers stay uncompressed. The file is written and read on one machine, where compressing
took longer than all the rest of a build; and an uncompressed layer has the same digest in every
archive, so that containerd skips those it has.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def write(exported: Path, reference: str, into: Path) -> None:
    """Turn a folder that `buildah push dir:` made into an OCI archive."""
    manifest = (exported / "manifest.json").read_bytes()
    described = json.loads(manifest)
    with tarfile.open(into, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json(_index(manifest, reference)))
        _add(archive, _blob(_digest(manifest)), manifest)
        # Two layers may be the same (two empty ones, say); a blob is there once.
        for digest in dict.fromkeys(
            part["digest"] for part in (described["config"], *described["layers"])
        ):
            _add_file(archive, _blob(digest), exported / digest.removeprefix("sha256:"))


def _index(manifest: bytes, reference: str) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": _MANIFEST,
                "digest": _digest(manifest),
                "size": len(manifest),
                # containerd and Docker read the first name, podman and buildah the second.
                "annotations": {
                    "io.containerd.image.name": reference,
                    "org.opencontainers.image.ref.name": reference,
                },
            }
        ],
    }


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _add_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    with path.open("rb") as content:
        archive.addfile(entry, content)
