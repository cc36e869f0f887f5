"""`experiment`: tables, intervals that are drawn, documents, and how it ends."""

import json
from textwrap import dedent
from typing import Any

import pytest

from modelfleet_operator.api.status import (
    ArmStatus,
    ComparisonStatus,
    ExperimentStatus,
    SampleRatioStatus,
    Status,
)
from modelfleet_operator.cli import experiment, status
from modelfleet_operator.cli.exits import ExitCode, Missing, Refusal
from modelfleet_operator.cli.show.experiment import drawn
from tests.unit.operator.builders import NAME, NAMESPACE, NOW, spec_json
from tests.unit.operator.cli.cases import ago, cluster, raw, said, terminal
from tests.unit.operator.memory_api import MemoryApi

FEWER = ComparisonStatus(
    variant="challenger", metric="ErrorRate", control="2%", arm="1.2%", difference="-0.8%",
    low="-1.2%", high="-0.4%", p_value="0.0003", differs=True,
    message="challenger has fewer errors than control: −0.8 % (−1.2 to −0.4), p 0.0003",
)  # fmt: skip
OPEN = ComparisonStatus(
    variant="shadow", metric="ErrorRate", control="2%", arm="2.2%", difference="0.2%",
    low="-0.6%", high="1.2%", p_value="1", message="no difference from control is shown: +0.2 %",
)  # fmt: skip
EARLY = ComparisonStatus(
    variant="challenger", metric="Value/clicked", p_value="1", message="too early: no values yet"
)
FOUND = ExperimentStatus(
    since=ago(hours=2),
    control="control",
    message=FEWER.message,
    arms=(
        ArmStatus(variant="control", weight="80%", requests=12400, errors=248, error_rate="2%",
                  p50="31ms", p95="80ms", p99="140ms"),
        ArmStatus(variant="challenger", weight="20%", requests=3100, errors=37, error_rate="1.2%",
                  p50="29ms", p95="77ms", p99="135ms"),
        ArmStatus(variant="shadow", shadow=True),
    ),
    comparisons=(FEWER, OPEN, EARLY),
    sample_ratio=SampleRatioStatus(verdict="Ok", message="the requests are shared out as asked"),
    counted="cnt2.x",
    evidence="for the operator",
)  # fmt: skip
VARIANTS = {
    "variants": [{"name": "control", "weight": 80}, {"name": "challenger", "weight": 20}],
    "routing": {"mode": "Router"},
}


def compared(found: ExperimentStatus | None = FOUND, **spec: Any) -> MemoryApi:
    told = Status(observed_generation=4, experiment=found)
    return cluster(told, spec=spec_json(**(spec or VARIANTS)))


async def shown(api: MemoryApi, output: str = "", **more: Any) -> str:
    on = terminal(**more)
    options = experiment.Options(NAMESPACE, NAME, output)
    assert await experiment.run(options, on, api, lambda: NOW) is ExitCode.OK
    return said(on)


async def test_variants_and_their_differences_in_plain_ascii() -> None:
    text = await shown(compared())
    assert text == dedent("""\
        digits in team-a: 3 variants with these shares for 120m
          challenger has fewer errors than control: −0.8 % (−1.2 to −0.4), p 0.0003

        VARIANT      ROLE      SHARE   REQUESTS   ERRORS   RATE   P50    P95    P99
        control      control   80%     12400      248      2%     31ms   80ms   140ms
        challenger             20%     3100       37       1.2%   29ms   77ms   135ms
        shadow       shadow    -       0          0        -      -      -      -

        METRIC          VARIANT      CONTROL   HAS    DIFFERENCE   BETWEEN          P        INTERVAL (0 IS MARKED)            FOUND
        ErrorRate       challenger   2%        1.2%   -0.8%        -1.2% to -0.4%   0.0003   |----o----|    :                  differs
        ErrorRate       shadow       2%        2.2%   0.2%         -0.6% to 1.2%    1                |------+--o-----------|
        Value/clicked   challenger   -         -      -            -                1        -

        sample ratio Ok: the requests are shared out as asked
    """)  # noqa: E501


async def test_a_terminal_draws_lines() -> None:
    assert "├────●────┤    ┊" in await shown(compared(), drawings=True)


async def test_wide_says_a_sentence_on_each() -> None:
    assert "too early: no values yet" in await shown(compared(), "wide")


async def test_documents_have_no_memory_of_the_operator() -> None:
    document = json.loads(await shown(compared(), "json"))
    assert document["comparisons"][0]["pValue"] == "0.0003"
    assert document["sampleRatio"]["verdict"] == "Ok"
    assert "evidence" not in document
    assert "pValue: '0.0003'" in await shown(compared(), "yaml")


async def test_before_the_operator_has_looked() -> None:
    assert "nothing is compared yet" in await shown(compared(None))
    assert json.loads(await shown(compared(None), "json"))["arms"] == []


async def test_the_status_tells_what_can_be_concluded() -> None:
    on = terminal()
    await status.run(status.Options(NAMESPACE, NAME), on, compared(), lambda: NOW)
    assert f"compared {FOUND.message}\n" in said(on)


async def test_one_variant_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(Refusal, match=r"spec\.variants"):
        await shown(compared(None, routing={"mode": "Router"}))


async def test_one_that_is_not_there() -> None:
    with pytest.raises(Missing):
        await shown(MemoryApi())


@pytest.mark.parametrize(
    ("low", "difference", "high", "ascii_"),
    [
        ("0.4%", "0.8%", "1.2%", ":         |---------o---------|"),
        ("-1%", "0%", "1%", "|--------------o--------------|"),
        ("-1%", "0.5%", "1%", "|--------------+------o-------|"),
        ("0%", "0%", "0%", ""),
        (None, "0.1", None, ""),
        ("rubbish", "0.1", "0.2", ""),
    ],
)
def test_an_interval_and_zero(
    low: str | None, difference: str, high: str | None, ascii_: str
) -> None:
    one = ComparisonStatus(
        variant="b", metric="ErrorRate", low=low, difference=difference, high=high
    )
    assert drawn(one, [one], drawings=False) == ascii_


def test_raw_has_what_the_status_says() -> None:
    assert raw(Status(experiment=FOUND))["status"]["experiment"]["control"] == "control"
