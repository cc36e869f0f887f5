"""How does a handful of files become an image archive without any image tool?

An OCI layout in a tar, with one uncompressed layer: what ``ctr images import`` and
``kind load image-archive`` take. The same files give the same bytes, so the archive can be
cached by content.
"""

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """What goes in, and how it starts."""

    name: str  # with its tag: localhost/modelfleet/pause:dev
    files: Mapping[str, Path | bytes]  # absolute path in the image -> content
    links: Mapping[str, str] = field(default_factory=dict)  # path in the image -> its target
    folders: Sequence[str] = ("/tmp",)
    entrypoint: Sequence[str] = ()
    user: str = ""
    env: Sequence[str] = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin",)


def write(image: Image, archive: Path) -> None:
    """Write the archive; whole or not at all."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryFile(dir=archive.parent) as layer,
        tempfile.NamedTemporaryFile(dir=archive.parent, delete=False) as out,
    ):
        temporary = Path(out.name)
        try:
            _write_layer(image, layer)
            _write_layout(image, layer, out)
            out.flush()
            temporary.chmod(0o644)
            temporary.rename(archive)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _write_layer(image: Image, out: IO[bytes]) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted(_folders(image)):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if folder == "/tmp" else 0o755
            tar.addfile(entry)
        for path, content in sorted(image.files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode = 0o755
            if isinstance(content, bytes):
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                entry.size = content.stat().st_size
                with content.open("rb") as source:
                    tar.addfile(entry, source)
        for path, target in sorted(image.links.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            tar.addfile(entry)


def _folders(image: Image) -> set[str]:
    """All folders that the paths pass through."""
    found = set(image.folders)
    for path in [*image.files, *image.links, *image.folders]:
        found.update(str(parent) for parent in Path(path).parents)
    return found - {"/"}


def _write_layout(image: Image, layer: IO[bytes], out: IO[bytes]) -> None:
    size = layer.tell()
    layer.seek(0)
    layer_digest = "sha256:" + _digest(layer)
    layer.seek(0)
    platform_of = {"architecture": architecture(), "os": "linux"}
    running = {
        "Entrypoint": list(image.entrypoint),
        "Env": list(image.env),
        "User": image.user,
    }
    config_digest, config = _blob(
        {
            "created": _EPOCH,
            **platform_of,
            "config": {key: value for key, value in running.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
            "history": [{"created": _EPOCH, "created_by": "modelfleet dev/cluster"}],
        }
    )
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest_digest, manifest = _blob(
        {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest,
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": layer_digest,
                    "size": size,
                }
            ],
        }
    )
    _, index = _blob(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                {
                    "mediaType": manifest_type,
                    "digest": manifest_digest,
                    "size": len(manifest),
                    "platform": platform_of,
                    "annotations": {
                        # The first is containerd's, the second everyone else's.
                        "io.containerd.image.name": image.name,
                        "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
                    },
                }
            ],
        }
    )
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", index)
        _add(tar, _path(config_digest), config)
        _add(tar, _path(manifest_digest), manifest)
        entry = tarfile.TarInfo(_path(layer_digest))
        entry.size = size
        tar.addfile(entry, layer)


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _blob(content: object) -> tuple[str, bytes]:
    data = json.dumps(content, sort_keys=True).encode()
    return "sha256:" + hashlib.sha256(data).hexdigest(), data


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(data))
