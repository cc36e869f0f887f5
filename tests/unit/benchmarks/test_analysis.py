"""What the benchmark of the rollout gate simulates is the gate's own rule."""

import numpy as np
import pytest

from benchmarks.analysis.__main__ import line
from benchmarks.analysis.many import ManyLimits, ManyRelative
from benchmarks.analysis.runs import Row, fixed_sample
from benchmarks.analysis.traffic import Traffic
from modelfleet_operator.statistics.checks import Limit, Relative
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


def test_the_fixed_sample_is_the_textbooks() -> None:
    assert round(fixed_sample(0.01, 0.02, 0.05)) == 16_983
    assert round(fixed_sample(0.01, 0.02, 0.5)) == 3_652


@pytest.mark.parametrize(
    ("figure", "bar", "word"), [(4.9, 5.0, "met"), (5.1, 5.0, "MISSED"), (5.1, None, "-")]
)
def test_a_bar_is_met_or_missed(figure: float, bar: float | None, word: str) -> None:
    assert line(Row("false stop", "a case", figure, "%", bar)).split()[0] == word
