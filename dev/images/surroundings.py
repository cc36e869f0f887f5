"""What does a build have to know of this machine's network? A proxy, its CA, a mirror.

All of it is handed to the build and none of it stays in the image.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


def build_options(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Options that `docker build` and `buildah bud` both understand."""
    options: list[str] = []
    certificates = environment.get("SSL_CERT_FILE", "")
    if certificates and Path(certificates).is_file():
        options += ["--secret", f"id=certificates,src={certificates}"]
    # Docker and buildah know the proxies' names without an ARG and keep them out of the image.
    for name in (*_PROXIES, *map(str.lower, _PROXIES)):
        if value := environment.get(name):
            options += ["--build-arg", f"{name}={value}"]
    index = next((environment[name] for name in _INDEXES if environment.get(name)), None)
    if index:
        options += ["--build-arg", f"INDEX_URL={index}"]
    return options
