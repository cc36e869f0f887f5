"""Memory survives as text, and a text that is not one is refused with a reason."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics.counters import Pod, Snapshot, Traffic
from modelfleet_operator.statistics.encoding import BrokenText, Reader, Writer
from modelfleet_operator.statistics.experiment import MeanComparison, RateComparison
from modelfleet_operator.statistics.gate import judge
from modelfleet_operator.statistics.latency import LADDER, Histogram
from modelfleet_operator.statistics.memory import Look, Memory
from modelfleet_operator.statistics.outcomes import Tally
from modelfleet_operator.statistics.policy import LatencyLimit, Policy, Stage
from modelfleet_operator.statistics.sample_ratio import SampleRatio
from modelfleet_operator.statistics.segments import Evidence

POLICY = Policy(max_error_rate=0.01, max_latency=(LatencyLimit(0.95, 100), LatencyLimit(0.99, 250)))
STAGE = Stage(1, 3, 0.05, 0.25)


def traffic(requests: int, errors: int, seed: int = 0) -> Traffic:
    counts = [0] * (len(LADDER) + 1)
    for number in range(requests):
        counts[12 + (number * 7 + seed) % 12] += 1
    return Traffic(requests, errors, Histogram(LADDER, tuple(counts)), sent=requests + 2)


@cache
def learnt(looks: int = 30) -> Memory:
    memory = Memory.start(POLICY, STAGE)
    for number in range(1, looks + 1):
        look = Look(
            traffic(50, number % 3, number), traffic(950, number % 5), 10, 10 * number, 10 * number
        )
        memory, _ = judge(memory, look)
    return memory


@given(
    st.lists(
        st.one_of(
            st.integers(0, 2**70),
            st.floats(allow_nan=False),
            st.lists(st.floats(width=32, allow_nan=False), max_size=5).map(tuple),
        )
    )
)
def test_numbers_come_back_as_they_went_in(values: list[int | float | tuple[float, ...]]) -> None:
    writer = Writer("x", 1)
    for value in values:
        if isinstance(value, tuple):
            writer.numbers(value)
        elif isinstance(value, float):
            writer.number(value)
        else:
            writer.count(value)
    reader = Reader(writer.text(), "x", 1)
    for value in values:
        if isinstance(value, tuple):
            assert reader.numbers(len(value)) == value
        elif isinstance(value, float):
            assert reader.number() == value
        else:
            assert reader.count() == value
    reader.end()


def test_a_gate_goes_on_from_its_text_as_if_nothing_had_happened() -> None:
    memory = learnt()
    text = memory.to_text()
    again = Memory.from_text(text, POLICY, STAGE)
    assert again.to_text() == text
    look = Look(traffic(50, 1), traffic(950, 2), 10, 310, 310)
    (_, went_on), (_, came_back) = judge(memory, look), judge(again, look)
    assert came_back.verdict == went_on.verdict
    assert [f.says for f in came_back.findings] == [f.says for f in went_on.findings]
    for ours, theirs in zip(came_back.findings, went_on.findings, strict=True):
        assert ours.harm == pytest.approx(theirs.harm, rel=1e-4, abs=1e-4)


def test_a_gate_that_is_stored_at_every_look_does_not_drift_away() -> None:
    stored = kept = Memory.start(POLICY, STAGE)
    for number in range(1, 400):
        look = Look(traffic(50, number % 2), traffic(950, number % 4), 10, number * 10, number * 10)
        kept, stored = kept.add(look), stored.add(look)
        stored = Memory.from_text(stored.to_text(), POLICY, STAGE)
    assert kept.errors is not None
    assert stored.errors is not None
    assert stored.errors.harm == pytest.approx(kept.errors.harm, abs=0.01)
    margin = STAGE.margin(POLICY.errors)
    assert stored.errors.harmless(margin, 1) == pytest.approx(
        kept.errors.harmless(margin, 1), abs=0.01
    )


def test_a_check_takes_at_most_one_and_a_half_kilobytes() -> None:
    memory = learnt(300)
    assert len(memory.to_text()) / POLICY.checks < 1500
    assert memory.errors is not None
    writer = Writer("one", 1)
    memory.errors.write(writer)
    assert len(writer.text()) < 1500
    assert len(compared().to_text()) < 1500


def compared() -> RateComparison:
    comparison = RateComparison()
    for number in range(100):
        comparison = comparison.add(Tally(900, number % 9), Tally(100, number % 3), 10)
    return comparison


def test_every_other_memory_comes_back() -> None:
    rates = RateComparison.from_text(compared().to_text())
    assert rates.result().difference == compared().result().difference
    assert rates.result().p_value == pytest.approx(compared().result().p_value, rel=1e-4)
    means = MeanComparison(0.05, Evidence(1.5, 2.0, 3.5))
    assert MeanComparison.from_text(means.to_text()) == means
    assert MeanComparison.from_text(MeanComparison().to_text()) == MeanComparison()
    ratio = SampleRatio.start((0.2, 0.3, 0.5)).add((20, 33, 47)).change((0.5, 0.5)).add((1, 2))
    assert SampleRatio.from_text(ratio.to_text()) == ratio
    pods = {"a": Pod(12.5, {"v1": traffic(99, 3), "v2": Traffic(3, 1, sent=4)}), "ü": Pod(1e9, {})}
    snapshot = Snapshot(1234.5, pods)
    assert Snapshot.from_text(snapshot.to_text()) == snapshot


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with 'gate1.'"),
        ("gate", "begins with 'gate1.'"),
        ("gate2.AAAA", "begins with 'gate1.', got 'gate2.AAAA'"),
        ("gate1.%%%", "no base64"),
        ("gate1.AAAA", "cut or changed"),
        ("gate1.", "cut or changed"),
    ],
)
def test_a_text_that_is_none_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(BrokenText, match=why):
        Memory.from_text(text, POLICY, STAGE)


@given(st.data())
def test_no_damage_goes_unseen(data: st.DataObject) -> None:
    text = learnt(3).to_text()
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = data.draw(
        st.sampled_from([text[:at], text[:at] + text[at + 1 :], f"{text[:at]}A{text[at + 1 :]}"])
    )
    try:
        read = Memory.from_text(damaged, POLICY, STAGE)
    except BrokenText:
        return
    # Not all bits of the last letter are used.
    assert read.to_text() == text


def test_a_text_of_another_stage_or_policy_is_not_taken() -> None:
    text = learnt(3).to_text()
    with pytest.raises(BrokenText, match="another stage or another policy"):
        Memory.from_text(text, POLICY, Stage(2, 3, 0.25, 0.5))
    with pytest.raises(BrokenText, match="another stage or another policy"):
        Memory.from_text(text, Policy(max_error_rate=0.02), STAGE)


def test_what_is_left_over_or_missing_is_seen() -> None:
    writer = Writer("x", 1)
    writer.count(7)
    with pytest.raises(BrokenText, match="1 bytes too many"):
        Reader(writer.text(), "x", 1).end()
    with pytest.raises(BrokenText, match="ends too early"):
        Reader(writer.text(), "x", 1).number()
