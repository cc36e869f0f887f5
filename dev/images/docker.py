"""Building with a Docker engine. Layers are cached by the engine."""

import shutil
import subprocess
from pathlib import Path

from dev.images.image import Image
from dev.images.recipe import Recipe
from dev.images.run import answer, logged
from dev.images.surroundings import build_options

# An engine on the other side of a dead connection must not hold the whole command up.
_PATIENCE_S = 10


class Docker:
    """A running engine, asked through its client."""

    @staticmethod
    def answers() -> bool:
        """Whether there is a client and, behind it, an engine."""
        client = shutil.which("docker")
        if client is None:
            return False
        question = [client, "version", "--format", "{{.Server.Version}}"]
        try:
            asked = subprocess.run(question, capture_output=True, timeout=_PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0

    def build(
        self, recipe: Recipe, base: str, context: Path, reference: str, archive: Path, log: Path
    ) -> None:
        command = [
            "docker",
            "build",
            "--progress=plain",
            "--file",
            str(context / recipe.dockerfile),
        ]
        command += ["--tag", reference, *build_options()]
        if base:
            command += ["--build-arg", f"BASE={base}"]
        for name, value in recipe.arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        logged([*command, str(context)], log)
        answer(["docker", "save", "--output", str(archive), reference])

    def push(self, image: Image, target: str, insecure: bool, log: Path) -> None:
        """`insecure` is for buildah: which registries lack TLS, the engine knows by itself."""
        answer(["docker", "load", "--input", str(image.archive)])
        answer(["docker", "tag", image.reference, target])
        logged(["docker", "push", target], log)
