"""What a router's answers say, and what is no answer."""

import json

import pytest

from modelfleet_operator.router.files import Pair, files
from modelfleet_operator.router.observed import (
    Counters,
    File,
    Histogram,
    Members,
    Resource,
    Served,
    Unreadable,
    read_config,
    read_sites,
    read_statistics,
)
from tests.unit.operator.router.builders import A, B, site


def config(**values: object) -> str:
    return json.dumps(
        {
            "stats": [
                *({"name": name, "value": value} for name, value in values.items()),
                {"histograms": {"supported_quantiles": [0, 50, 99]}},
            ]
        }
    )


def test_the_routing_of_each_site_is_read() -> None:
    text = '{"sites":[{"deployment":"digits","version":"3-ab","weights":{"digits-a":10000}}]}'
    assert read_sites(text) == {"digits": Served("3-ab", {A: 10_000})}
    assert read_sites('{"sites":[]}') == {}


def test_files_and_members_are_read() -> None:
    text = config(
        **{
            "listener_manager.lds.version_text": "l1",
            "cluster_manager.cds.version_text": "c1",
            "cluster_manager.cds.update_rejected": 2,
            "http.ops.rds.sites.version_text": "r1",
            "http.ops.rds.sites.update_failure": 1,
            f"cluster.digits_{A}_http.membership_healthy": 1,
            f"cluster.digits_{A}_http.membership_total": 2,
            f"cluster.digits_{A}_grpc.membership_healthy": 0,
            f"cluster.digits_{A}_grpc.membership_total": 2,
            "cluster.admin.membership_total": 1,
            "server.dynamic_unknown_fields": 3,
        }
    )
    router = read_config(text)
    assert router.files == {
        Resource.LISTENERS: File("l1"),
        Resource.CLUSTERS: File("c1", rejected=2),
        Resource.ROUTES: File("r1", failed=1),
    }
    assert router.members == {A: Members(1, 2)}
    assert router.grpc_members == {A: Members(0, 2)}
    assert router.unknown_fields == 3
    assert "refused the clusters" in router.why(Resource.CLUSTERS)
    assert "could not read the routes" in router.why(Resource.ROUTES)
    assert "not read the listeners yet" in router.why(Resource.LISTENERS)


def test_of_two_ways_to_find_pods_the_better_one_counts() -> None:
    text = config(
        **{
            f"cluster.digits_{A}_http_endpoints.membership_healthy": 0,
            f"cluster.digits_{A}_http_endpoints.membership_total": 2,
            f"cluster.digits_{A}_http_dns.membership_healthy": 2,
            f"cluster.digits_{A}_http_dns.membership_total": 3,
            f"cluster.digits_{A}_http.membership_healthy": 0,
            f"cluster.digits_{A}_http.membership_total": 0,
        }
    )
    assert read_config(text).members == {A: Members(2, 3)}


def test_a_router_lags_while_a_file_is_another() -> None:
    made = files([site()], Pair()).data
    versions = {
        "listener_manager.lds.version_text": json.loads(made["listeners.json"])["version_info"],
        "cluster_manager.cds.version_text": json.loads(made["clusters.json"])["version_info"],
        "http.ops.rds.sites.version_text": json.loads(made["routes.json"])["version_info"],
    }
    assert read_config(config(**versions)).lags(made) == ()
    versions["http.ops.rds.sites.version_text"] = "older"
    assert read_config(config(**versions)).lags(made) == (Resource.ROUTES,)
    assert read_config(config()).lags(made) == tuple(Resource)


LABELS = (
    'envoy_cluster_name="digits_{0}_{1}",modelfleet_deployment="digits",'
    'modelfleet_revision="{0}",modelfleet_protocol="{1}"'
)


def statistics(*lines: tuple[str, str, str, str, object]) -> str:
    """(family, revision, protocol, further labels, value)."""
    found = ["# TYPE envoy_cluster_upstream_rq_total counter"]
    for family, revision, protocol, more, value in lines:
        labels = more + LABELS.format(revision, protocol)
        found.append(f"envoy_cluster_{family}{{{labels}}} {value}")
    return "\n".join([*found, 'envoy_cluster_upstream_rq_total{envoy_cluster_name="admin"} 7', ""])


def test_counters_of_both_protocols_are_added_up() -> None:
    text = statistics(
        ("upstream_rq_total", A, "http", "", 10),
        ("upstream_rq_total", A, "grpc", "", 5),
        ("upstream_rq_total", B, "http", "", 1),
        ("upstream_rq_completed", A, "http", "", 9),
        ("upstream_rq_retry", A, "http", "", 2),
        ("upstream_rq_active", A, "grpc", "", 3),
        ("upstream_rq_xx", A, "http", 'envoy_response_code_class="2",', 8),
        ("upstream_rq_xx", A, "http", 'envoy_response_code_class="5",', 1),
        ("upstream_rq_xx", A, "grpc", 'envoy_response_code_class="2",', 4),
        ("upstream_rq_xx", A, "grpc", 'envoy_response_code_class="4",', 0),
        ("upstream_rq", A, "http", 'envoy_response_code="200",', 8),
        ("upstream_rq_retry_success", A, "http", "", 1),
        *(
            ("upstream_rq_time_bucket", A, protocol, f'le="{bound}",', count)
            for protocol, counts in (("http", (4, 9, 9)), ("grpc", (0, 3, 4)))
            for bound, count in zip(("5", "0.5e3", "+Inf"), counts, strict=True)
        ),
        ("upstream_rq_time_sum", A, "http", "", 93.5),
        ("upstream_rq_time_sum", A, "grpc", "", 900),
        ("upstream_rq_time_count", A, "http", "", 9),
        ("upstream_rq_time_count", A, "grpc", "", 4),
    )
    found = read_statistics(text)
    assert found[A] == Counters(
        attempts=15,
        retries=2,
        completed=9,
        in_flight=3,
        answers={"2": 12, "5": 1},
        latency=Histogram((5.0, 500.0), (4, 12), 13, 993.5),
    )
    assert found[A].latency.above(5.0) == 9
    assert found[B] == Counters(attempts=1)
    assert found.keys() == {A, B}


def test_a_limit_between_two_bounds_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        Histogram((5.0,), (1,), 2).above(6.0)


@pytest.mark.parametrize("text", ["", "no healthy upstream", "{}", "[]", '{"stats":7}', "null"])
def test_what_is_no_answer_is_not_taken_for_an_empty_one(text: str) -> None:
    for read in (read_sites, read_config, read_statistics):
        with pytest.raises(Unreadable):
            read(text)
