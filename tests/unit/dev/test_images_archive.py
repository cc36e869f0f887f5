"""Is the archive what the OCI image layout says, and will containerd know the image's name?"""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dev.images import archive

REFERENCE = "localhost/modelfleet/operator:0123456789ab"


def _exported(folder: Path) -> Path:
    """A folder as `buildah push dir:` makes it, with the same layer twice."""

    def blob(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (folder / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    folder.mkdir()
    manifest = {"config": blob(b"{}"), "layers": [blob(b"base"), blob(b"same"), blob(b"same")]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def members(tmp_path: Path) -> dict[str, bytes]:
    archive.write(_exported(tmp_path / "exported"), REFERENCE, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        entries = tar.getmembers()
        assert len({entry.name for entry in entries}) == len(entries)
        return {entry.name: tar.extractfile(entry).read() for entry in entries}  # type: ignore[union-attr]


def test_every_blob_is_under_its_digest(members: dict[str, bytes]) -> None:
    blobs = {name: content for name, content in members.items() if name.startswith("blobs/")}
    assert len(blobs) == 4  # manifest, config, two different layers
    for name, content in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def test_index_leads_to_the_manifest_and_names_the_image(members: dict[str, bytes]) -> None:
    (entry,) = json.loads(members["index.json"])["manifests"]
    assert members["blobs/" + entry["digest"].replace(":", "/")].startswith(b'{"config"')
    assert entry["annotations"]["io.containerd.image.name"] == REFERENCE
    assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_the_same_layers_make_the_same_bytes(tmp_path: Path) -> None:
    exported = _exported(tmp_path / "exported")
    for name in ("one.tar", "two.tar"):
        archive.write(exported, REFERENCE, tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
