"""An image archive made of files alone."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from dev.cluster import oci

IMAGE = oci.Image(
    "localhost/modelfleet/hello:1",
    {"/bin/hello": b"#!/bin/sh\n", "/etc/deep/er/file": b"x"},
    links={"/bin/hi": "hello"},
    entrypoint=["/bin/hello"],
    user="65534",
)


def _read(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {m.name: (tar.extractfile(m) or io.BytesIO()).read() for m in tar if m.isfile()}


def test_every_blob_has_the_digest_and_size_that_its_parent_states(tmp_path: Path) -> None:
    oci.write(IMAGE, tmp_path / "image.tar")
    content = _read(tmp_path / "image.tar")
    for name, data in content.items():
        if name.startswith("blobs/"):
            assert name == "blobs/sha256/" + hashlib.sha256(data).hexdigest()
    index = json.loads(content["index.json"])
    described = index["manifests"][0]
    assert described["annotations"]["io.containerd.image.name"] == IMAGE.name
    assert described["annotations"]["org.opencontainers.image.ref.name"] == "1"
    manifest = json.loads(content["blobs/" + described["digest"].replace(":", "/")])
    for blob in [manifest["config"], *manifest["layers"]]:
        assert len(content["blobs/" + blob["digest"].replace(":", "/")]) == blob["size"]


def test_the_layer_holds_the_files_below_their_folders(tmp_path: Path) -> None:
    oci.write(IMAGE, tmp_path / "image.tar")
    content = _read(tmp_path / "image.tar")
    index = json.loads(content["index.json"])
    manifest = json.loads(content["blobs/" + index["manifests"][0]["digest"].replace(":", "/")])
    config = json.loads(content["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert config["config"]["Entrypoint"] == ["/bin/hello"]
    assert config["config"]["User"] == "65534"
    layer = content["blobs/" + manifest["layers"][0]["digest"].replace(":", "/")]
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        names = tar.getnames()
        assert names.index("etc/deep") < names.index("etc/deep/er/file")
        assert tar.getmember("bin/hello").mode == 0o755
        assert tar.getmember("bin/hi").linkname == "hello"
        assert tar.getmember("tmp").mode == 0o1777


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    oci.write(IMAGE, tmp_path / "one.tar")
    oci.write(IMAGE, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
