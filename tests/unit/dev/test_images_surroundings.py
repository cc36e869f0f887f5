"""Does a build learn what it needs of the network, and nothing when there is nothing to know?"""

from pathlib import Path

from dev.images.surroundings import build_options


def test_a_plain_machine_needs_no_options() -> None:
    assert build_options({}) == []


def test_certificates_go_as_a_secret(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    assert build_options({"SSL_CERT_FILE": str(bundle)}) == [
        "--secret",
        f"id=certificates,src={bundle}",
    ]


def test_certificates_that_are_not_there_are_left_out() -> None:
    assert build_options({"SSL_CERT_FILE": "/nowhere/ca.crt"}) == []


def test_proxies_and_the_index_go_as_arguments() -> None:
    environment = {"https_proxy": "http://proxy:3128", "PIP_INDEX_URL": "https://mirror/simple"}
    assert build_options(environment) == [
        "--build-arg",
        "https_proxy=http://proxy:3128",
        "--build-arg",
        "INDEX_URL=https://mirror/simple",
    ]
