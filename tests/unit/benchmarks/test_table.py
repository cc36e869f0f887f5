"""Every row is compared with ours, over the same kind of body where there is one."""

from benchmarks.runtime import table
from benchmarks.runtime.load import Load
from benchmarks.runtime.results import Key, Results


def line(results: Results, server: str, protocol: str) -> str:
    rows = table.tables(results).splitlines()
    return next(row for row in rows if row.split()[:2] == [server, protocol])


def measured(**rates: float) -> Results:
    made = Results()
    for name, rps in rates.items():
        server, protocol = name.split("_")
        made.loads[Key(server, "cnn", protocol, 64)] += [Load(rps, 1.0, 2.0, 0, 0.1)] * 3
    return made


def test_json_is_compared_with_json_and_the_rest_with_binary() -> None:
    got = measured(modelfleet_binary=100, modelfleet_json=50, litserve_json=10, mosec_raw=20)
    assert line(got, "litserve", "json").endswith(" 5.00 (5.00 to 5.00)")
    assert line(got, "mosec", "raw").endswith(" 5.00 (5.00 to 5.00)")


def test_json_is_compared_with_binary_where_only_that_was_measured() -> None:
    got = measured(modelfleet_binary=100, litserve_json=10)
    assert line(got, "litserve", "json").endswith(" 10.00 (10.00 to 10.00)")


def test_ours_has_no_ratio_and_neither_has_one_that_answered_nothing() -> None:
    got = measured(modelfleet_binary=100, mosec_raw=0)
    assert line(got, "modelfleet", "binary").split()[-1] == "0.00"  # the start's seconds
    assert line(got, "mosec", "raw").split()[-1] == "0.00"
