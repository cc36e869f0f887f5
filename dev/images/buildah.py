"""Building without a Docker engine: buildah, in a storage of its own below the cache."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dev.images import archive as oci
from dev.images.folders import images_folder, made
from dev.images.image import Image
from dev.images.packages import need
from dev.images.recipe import Recipe
from dev.images.run import answer, logged
from dev.images.surroundings import build_options

# Every step of every build is an image in the storage; looking through them takes time, too.
_TOO_MANY_IMAGES = 500


class Buildah:
    """The program and its storage; the caller holds the lock of `folders.building`."""

    def __init__(self) -> None:
        need("buildah")
        self.storage = made(images_folder() / "storage")
        # Layers of some GB pass through here, and /tmp may be memory.
        self.work = made(images_folder() / "tmp")
        self.environment = {**os.environ, "TMPDIR": str(self.work)}
        self.driver = self._driver()

    def build(
        self, recipe: Recipe, base: str, context: Path, reference: str, archive: Path, log: Path
    ) -> None:
        self._tidy(base)
        command = self.command("bud", "--layers", "--isolation", "chroot", "--network", "host")
        command += ["--file", str(context / recipe.dockerfile), "--tag", reference]
        command += ["--build-arg", f"BASE={base}", *build_options()]
        for name, value in recipe.arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        logged([*command, str(context)], log, self.environment, lambda line: "STEP" in line)
        with tempfile.TemporaryDirectory(dir=self.work) as exported:
            self._run(
                "push", "--quiet", "--format", "oci", "--disable-compression", reference,
                f"dir:{exported}",
            )  # fmt: skip
            oci.write(Path(exported), reference, archive)

    def push(self, image: Image, target: str, insecure: bool, log: Path) -> None:
        loaded = self._run("pull", "--quiet", f"oci-archive:{image.archive}").splitlines()[-1]
        verify = "--tls-verify=false" if insecure else "--tls-verify=true"
        logged(self.command("push", verify, loaded, f"docker://{target}"), log, self.environment)

    def holds(self, reference: str) -> bool:
        command = self.command("inspect", "--type", "image", reference)
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def image_from(self, root: Path, reference: str) -> str:
        """Make an image of one layer from a root filesystem; answers its id."""
        container = self._run("from", "scratch")
        self._run("add", "--quiet", container, str(root), "/")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._run("config", "--env", path, "--cmd", "python3", container)
        return self._run("commit", "--quiet", "--format", "oci", "--rm", container, reference)

    def command(self, *arguments: str) -> list[str]:
        where = ["--root", str(self.storage / "root"), "--runroot", str(self.storage / "run")]
        return ["buildah", "--storage-driver", self.driver, *where, *arguments]

    def _run(self, *arguments: str) -> str:
        return answer(self.command(*arguments), self.environment)

    def _driver(self) -> str:
        """overlay where the kernel and the disk allow it; vfs copies every layer whole."""
        chosen = self.storage / "driver"
        if not chosen.exists():
            self.driver = "overlay"
            tried = subprocess.run(self.command("info"), capture_output=True, check=False)
            chosen.write_text("overlay" if tried.returncode == 0 else "vfs")
        return chosen.read_text()

    def _tidy(self, base: str) -> None:
        """Remove what interrupted builds left, and all cached steps when they are too many."""
        if self._run("containers", "--quiet"):
            self._run("rm", "--all")
        images = self._run("images", "--all", "--quiet", "--no-trunc").split()
        if len(images) > _TOO_MANY_IMAGES:
            spared = self._run("images", "--quiet", "--no-trunc", base) if self.holds(base) else ""
            self._remove([image for image in dict.fromkeys(images) if image not in spared])

    def _remove(self, images: Sequence[str]) -> None:
        subprocess.run(self.command("rmi", "--force", *images), capture_output=True, check=False)


def empty_work_folder() -> None:
    """Under the lock nobody works there: what is left is from an interrupted build."""
    shutil.rmtree(images_folder() / "tmp", ignore_errors=True)
