"""The Python code of the protocol buffer messages, made from their .proto files.

`python -m dev.messages` writes it; `--check` says whether what is there is what would be written.
"""

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

FOLDER = (
    Path(__file__).resolve().parents[1]
    / "runtime/modelfleet_runtime/protocols/grpc/messages"
)  # fmt: skip
_DEFAULT_POOL = "_descriptor_pool.Default()"
_IMPORT = "from google.protobuf import descriptor_pool as _descriptor_pool\n"
_OUR_IMPORT = "from modelfleet_runtime.protocols.grpc.messages.pool import POOL as _POOL\n"


def generated() -> dict[str, str]:
    """What should be there, by file name."""
    protos = sorted(FOLDER.glob("*.proto"))
    include = str(resources.files("grpc_tools") / "_proto")
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"-I{FOLDER}", f"-I{include}", f"--python_out={folder}", f"--pyi_out={folder}"]
        if protoc.main(["protoc", *flags, *map(str, protos)]):
            sys.exit("protoc failed")
        return {
            file.name: _in_our_pool(file.name, file.read_text())
            for file in sorted(Path(folder).iterdir())
        }


def _in_our_pool(name: str, text: str) -> str:
    if name.endswith(".pyi"):
        return text
    if text.count(_DEFAULT_POOL) != 1 or text.count(_IMPORT) != 1:
        sys.exit(f"{name}: protoc writes other code than this program knows")
    return text.replace(_DEFAULT_POOL, "_POOL").replace(_IMPORT, _OUR_IMPORT)


def main() -> None:
    should = generated()
    there = {file.name: file.read_text() for file in FOLDER.glob("*_pb2.py*")}
    if sys.argv[1:] == ["--check"]:
        if should != there:
            sys.exit(f"{FOLDER} is not what its .proto files say; run: make generate")
        return
    for name in there.keys() - should.keys():
        (FOLDER / name).unlink()
    for name, text in should.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
