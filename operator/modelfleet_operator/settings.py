"""What the operator is told at its start: environment variables, each with a default or a reason.

The chart sets them all; `modelfleet-operator --help` prints this list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

PREFIX = "MODELFLEET_"


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


class SettingsError(Exception):
    """A variable is missing or cannot be read; the message says which and what to write."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's settings. A field `x_y` is read from MODELFLEET_X_Y."""

    namespaces: tuple[str, ...] = _setting(
        (), "namespaces to look after, separated by commas; empty: all of the cluster's"
    )
    runtime_image: str = _setting("", "image of new revisions' pods (required)")
    runtime_torch_image: str = _setting(
        "", "the same for models that need torch; empty: runtime_image"
    )
    router_image: str = _setting(
        "", "image of the routers' pods; empty: routing.mode Router is refused"
    )
    image_pull_policy: str = _setting("IfNotPresent", "Always, IfNotPresent or Never")
    cluster_domain: str = _setting("cluster.local", "the cluster's DNS domain")
    pod_name: str = _setting("", "this pod's name: the holder of the lease; empty: the host's name")
    pod_namespace: str = _setting("default", "this pod's namespace: where the lease is")
    lease_name: str = _setting("modelfleet-operator", "the Lease that lets one operator work")
    health_port: int = _setting(8081, "port of /healthz")
    concurrency: int = _setting(16, "how many resources are looked at side by side")
    resync_seconds: int = _setting(600, "how often each resource is looked at with no reason to")
    prometheus_url: str = _setting(
        "", "a Prometheus that rollout.analysis.queries are put to; empty: there is none"
    )
    prometheus_token_file: str = _setting(
        "", "file with the bearer token for it, read at each request; empty: without one"
    )
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Raises `SettingsError`."""
        values: dict[str, Any] = {}
        for setting in fields(cls):
            name = PREFIX + setting.name.upper()
            text = env.get(name, "").strip()
            if not text:
                continue
            if isinstance(setting.default, tuple):
                values[setting.name] = tuple(sorted({p.strip() for p in text.split(",") if p}))
            elif isinstance(setting.default, int):
                if not text.isdecimal() or int(text) < 1:
                    raise SettingsError(f"{name} is {text!r}; write a whole number from 1 up")
                values[setting.name] = int(text)
            else:
                values[setting.name] = text
        settings = cls(**values)
        if not settings.runtime_image:
            raise SettingsError(f"{PREFIX}RUNTIME_IMAGE is not set; name the runtime's image")
        if settings.image_pull_policy not in ("Always", "IfNotPresent", "Never"):
            raise SettingsError(
                f"{PREFIX}IMAGE_PULL_POLICY is {settings.image_pull_policy!r}; "
                "write Always, IfNotPresent or Never"
            )
        _check_prometheus(settings)
        return settings


def _check_prometheus(settings: Settings) -> None:
    if settings.prometheus_url and not _is_base(settings.prometheus_url):
        raise SettingsError(
            f"{PREFIX}PROMETHEUS_URL is {settings.prometheus_url!r}; write http:// or https://, a "
            "host, and perhaps a port and a path, like http://prometheus.monitoring.svc:9090"
        )
    if settings.prometheus_token_file and not settings.prometheus_url:
        raise SettingsError(
            f"{PREFIX}PROMETHEUS_TOKEN_FILE has no effect without {PREFIX}PROMETHEUS_URL: "
            "set both, or none"
        )


def _is_base(text: str) -> bool:
    """Whether a path may be put behind it."""
    try:
        url = urlsplit(text)
        _ = url.port  # raises where it is no number
    except ValueError:
        return False
    return (
        url.scheme in ("http", "https") and bool(url.hostname) and not (url.query or url.fragment)
    )


def describe() -> str:
    """A line for each variable, for `--help`."""
    lines = []
    for setting in fields(Settings):
        default = setting.default if setting.default not in ("", ()) else "none"
        about = setting.metadata["about"]
        lines.append(f"  {PREFIX + setting.name.upper():32} {about} [{default}]")
    return "\n".join(lines)
