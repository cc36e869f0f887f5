"""What a host is told on which no node can run."""

import dataclasses

import pytest

from dev.cluster.host import Host, may_raise_limits, refusal

GOOD = Host(
    system="linux",
    root=True,
    namespaces="",
    cgroups="",
    debian=True,
    built=False,
    free_disk=100 * 1024**3,
    free_memory=8 * 1024**3,
)


def test_a_good_host_is_not_refused() -> None:
    assert refusal(GOOD) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"system": "darwin"}, "needs Linux", id="not Linux"),
        pytest.param({"root": False}, "needs root", id="not root"),
        pytest.param({"namespaces": "unshare: EPERM"}, "--privileged", id="no namespaces"),
        pytest.param({"cgroups": "read only"}, "--cgroupns=host", id="no cgroups"),
        pytest.param({"debian": False}, "install them by hand", id="packages missing, no apt"),
        pytest.param({"free_disk": 1}, "larger disk", id="no space to compile"),
        pytest.param({"free_memory": 1}, "free some", id="no memory to compile"),
    ],
)
def test_a_host_on_which_it_cannot_run_is_told_the_way_that_would_work(
    change: dict[str, object], says: str
) -> None:
    sentence = refusal(dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert sentence is not None
    assert says in sentence
    assert "CLUSTER=existing" in sentence


@pytest.mark.parametrize("change", [{"free_disk": 1}, {"free_memory": 1}])
def test_what_is_built_needs_no_space_to_compile(change: dict[str, int]) -> None:
    assert refusal(dataclasses.replace(GOOD, built=True, **change)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "may"),
    [
        ("Name:\tx\nCapEff:\t000001ffffffffff\n", True),
        ("Name:\tx\nCapEff:\t000001fffeffffff\n", False),
        ("", False),
    ],
)
def test_whether_limits_may_be_raised_is_read_from_the_capabilities(status: str, may: bool) -> None:
    assert may_raise_limits(status) is may
