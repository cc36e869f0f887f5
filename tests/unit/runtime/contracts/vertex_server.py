"""In Vertex AI's library's own environment: its server of custom prediction routines.

    python vertex_server.py PORT

The server's modules are the library's own. The rest of the library, which takes half a minute to be
imported and has no part in serving, is left aside: its packages' `__init__` are not run.
"""

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any


def bare(name: str, folder: Path) -> None:
    """The package as a name for what lies in its folder."""
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def main() -> None:
    found = importlib.util.find_spec("google.cloud")
    assert found is not None
    folders = list(found.submodule_search_locations or ())
    root = next(Path(f, "aiplatform") for f in folders if Path(f, "aiplatform").is_dir())
    bare("google.cloud.aiplatform", root)
    bare("google.cloud.aiplatform.prediction", root / "prediction")
    bare("google.cloud.aiplatform.constants", root / "constants")
    for name in ("constants.prediction", "version"):
        parent, _, attribute = f"google.cloud.aiplatform.{name}".rpartition(".")
        made = importlib.import_module(f"{parent}.{attribute}")
        setattr(sys.modules[parent], attribute, made)
    sys.path.insert(0, str(Path.cwd()))
    server: Any = importlib.import_module("google.cloud.aiplatform.prediction.model_server")
    uvicorn: Any = importlib.import_module("uvicorn")
    uvicorn.run(server.CprModelServer(), host="127.0.0.1", port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
