"""What the benchmark of the rollout gate simulates is the gate's own rule."""

import numpy as np
import pytest

from benchmarks.analysis.__main__ import line
from benchmarks.analysis.experiments import design_effect
from benchmarks.analysis.many import ManyLimits, ManyRates, ManyRelative, of_buckets
from benchmarks.analysis.runs import Row, fixed_sample
from benchmarks.analysis.traffic import Traffic
from modelfleet_operator.statistics import means
from modelfleet_operator.statistics.checks import Limit, Relative
from modelfleet_operator.statistics.experiment import RateComparison
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.policy import Margins

PAIRS, LOOKS, MARGIN = 5, 150, 0.004


@pytest.mark.parametrize("share", [0.02, 0.5])
@pytest.mark.parametrize("margins", [Margins(), Margins(ratio=1.0)])
def test_many_pairs_are_judged_as_one_is(share: float, margins: Margins) -> None:
    """Through several starts, blocks that stay open, and looks at which one arm has nothing."""
    rng = np.random.default_rng(3)
    traffic = Traffic(0.02, 0.03, share, LOOKS, per_look=20)
    many, ones = ManyRelative(PAIRS, margins, MARGIN), [Relative.start(margins)] * PAIRS
    for look in range(LOOKS):
        drawn = traffic.draw(rng, look, PAIRS)
        many.add(*drawn)
        for pair, (n_c, x_c, n_s, x_s) in enumerate(np.array(drawn).T.tolist()):
            ones[pair] = ones[pair].add(Block(Tally(n_c, x_c), Tally(n_s, x_s)), 1, 1)
        assert many.harm == pytest.approx([one.harm for one in ones], abs=1e-9)
        assert many.harmless == pytest.approx([one.harmless(MARGIN, 1) for one in ones], abs=1e-9)


def test_many_limits_are_judged_as_one_is() -> None:
    rng = np.random.default_rng(4)
    many, ones = ManyLimits(PAIRS, 0.01), [Limit(0.01)] * PAIRS
    for _ in range(LOOKS):
        n = rng.binomial(20, 0.1, PAIRS)
        x = rng.binomial(n, 0.02)
        many.add(n, x)
        for pair, tally in enumerate(zip(n.tolist(), x.tolist(), strict=True)):
            ones[pair] = ones[pair].add(Tally(*tally), Tally(*tally), 1)
        assert many.harm == pytest.approx([one.harm for one in ones], abs=1e-9)


@pytest.mark.parametrize("effect", [1.0, 2.5])
def test_many_experiments_are_judged_as_one_is(effect: float) -> None:
    rng = np.random.default_rng(6)
    traffic = Traffic(0.03, 0.05, 0.3, LOOKS, per_look=8)
    many, ones = ManyRates(PAIRS), [RateComparison()] * PAIRS
    for look in range(LOOKS):
        drawn = traffic.draw(rng, look, PAIRS)
        many.add(*drawn, effect)
        for pair, (n_c, x_c, n_s, x_s) in enumerate(np.array(drawn).T.tolist()):
            ones[pair] = ones[pair].add(Tally(n_s, x_s), Tally(n_c, x_c), 1, effect)
        assert many.p_value == pytest.approx([one.result().p_value for one in ones], abs=1e-9)


def test_many_bucketed_means_and_design_effects_are_made_as_one_is() -> None:
    rng = np.random.default_rng(7)
    requests = rng.integers(0, 6, (PAIRS, 40)).astype(float)
    failures = rng.binomial(requests.astype(int), 0.3).astype(float)
    values, variances, units = of_buckets(requests, failures)
    effects = design_effect(requests, failures)
    for pair in range(PAIRS):
        n, x = requests[pair].tolist(), failures[pair].tolist()
        one = means.of_buckets(n, x)
        assert one is not None
        assert (values[pair], variances[pair]) == pytest.approx((one.value, one.variance))
        assert units[pair] == one.units
        whole = [int(v) for v in n], [int(v) for v in x]
        assert effects[pair] == pytest.approx(means.design_effect(*whole))


def test_the_fixed_sample_is_the_textbooks() -> None:
    assert round(fixed_sample(0.01, 0.02, 0.05)) == 16_983
    assert round(fixed_sample(0.01, 0.02, 0.5)) == 3_652


@pytest.mark.parametrize(
    ("figure", "bar", "word"), [(4.9, 5.0, "met"), (5.1, 5.0, "MISSED"), (5.1, None, "-")]
)
def test_a_bar_is_met_or_missed(figure: float, bar: float | None, word: str) -> None:
    assert line(Row("false stop", "a case", figure, "%", bar)).split()[0] == word
