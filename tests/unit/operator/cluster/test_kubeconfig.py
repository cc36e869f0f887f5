"""The cluster is chosen as kubectl chooses it, and a kubeconfig that will not do says why."""

import re
from pathlib import Path

import pytest
import yaml

from modelfleet_operator.cluster.kubeconfig import NoCluster, connect

CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [
        {"name": "one", "context": {"cluster": "c", "user": "u"}},
        {"name": "two", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}},
    ],
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


async def namespace_of(kubeconfig: Path | None, context: str | None) -> str:
    path = None if kubeconfig is None else str(kubeconfig)
    cluster, namespace = await connect(path, context, "somebody")
    await cluster.close()
    return namespace


async def test_the_namespace_is_the_contexts(config: Path) -> None:
    assert await namespace_of(config, None) == "default"
    assert await namespace_of(config, "two") == "team-a"


async def test_kubeconfig_may_name_several_files(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{config.parent / 'none'}:{config}")
    assert await namespace_of(None, "two") == "team-a"


async def test_a_context_that_is_not_there(config: Path) -> None:
    with pytest.raises(NoCluster, match=r"\(context three\) cannot be used: .*three"):
        await namespace_of(config, "three")


async def test_no_kubeconfig(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(NoCluster, match=re.escape(f"there is no kubeconfig at {missing}")):
        await namespace_of(missing, None)


@pytest.mark.parametrize("text", ["", "just text", "a: [", "contexts: 7", "{}"])
async def test_what_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(NoCluster, match=r"the kubeconfig .* cannot be (used|read)"):
        await namespace_of(path, None)
