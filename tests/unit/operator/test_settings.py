"""What the operator says of a setting that it cannot mean."""

import pytest

from modelfleet_operator.settings import Settings, SettingsError

LEAST = {"MODELFLEET_RUNTIME_IMAGE": "runtime:1"}
URL, TOKEN_FILE = "MODELFLEET_PROMETHEUS_URL", "MODELFLEET_PROMETHEUS_TOKEN_FILE"


@pytest.mark.parametrize(
    "url",
    [
        "http://prometheus.monitoring.svc:9090",
        "https://thanos.example.com/tenant-a/",
        "http://[fd00::1]:9090",
        "https://reader:password@prometheus.example.com",
    ],
)
def test_the_address_of_a_prometheus(url: str) -> None:
    settings = Settings.from_env({**LEAST, URL: url, TOKEN_FILE: "/token"})
    assert (settings.prometheus_url, settings.prometheus_token_file) == (url, "/token")


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({URL: "prometheus:9090"}, "write http:// or https://, a host"),
        ({URL: "prometheus.monitoring.svc"}, "write http:// or https://, a host"),
        ({URL: "ftp://prometheus"}, "write http:// or https://, a host"),
        ({URL: "http:///api"}, "write http:// or https://, a host"),
        ({URL: "http://prometheus?tenant=a"}, "write http:// or https://, a host"),
        ({URL: "http://prometheus/#a"}, "write http:// or https://, a host"),
        ({URL: "http://[::1"}, "write http:// or https://, a host"),
        ({URL: "http://prometheus:port"}, "write http:// or https://, a host"),
        ({TOKEN_FILE: "/token"}, "no effect without MODELFLEET_PROMETHEUS_URL"),
    ],
)
def test_one_that_cannot_be(env: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings.from_env({**LEAST, **env})


def test_without_one() -> None:
    assert Settings.from_env(LEAST).prometheus_url == ""
