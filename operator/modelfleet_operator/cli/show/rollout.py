"""The lines of a rollout: what it does, and its steps."""

from collections.abc import Iterable

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.rollout import Surge
from modelfleet_operator.api.status import Phase, RolloutStatus, VariantStatus
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.picture import Picture, called
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, line

_PHASES = {
    Phase.STARTING: Style.WARN,
    Phase.SHIFTING: Style.WARN,
    Phase.HOLDING: Style.GOOD,
    Phase.PAUSED: Style.WARN,
    Phase.ROLLING_BACK: Style.BAD,
    Phase.FAILED: Style.BAD,
}


def rollout(picture: Picture, told: VariantStatus) -> Iterable[Line]:
    """Nothing where none is on its way and none failed."""
    now = told.rollout
    if now is None:
        return
    yield line(Span("rollout  ", Style.FAINT), *_what(picture, told, now))
    if picture.steps:
        yield line(Span("steps    ", Style.FAINT), *_steps(picture, now))
    if now.surge in (Surge.IN_PLACE, Surge.RECREATE):
        yield line(Span("places   ", Style.FAINT), f"{now.surge}: {now.surge_reason}")
    if now.observed:
        yield line(Span("traffic  ", Style.FAINT), now.observed)


def _what(picture: Picture, told: VariantStatus, rollout: RolloutStatus) -> Iterable[Cell]:
    again = f", attempt {rollout.attempt}" if rollout.attempt > 1 else ""
    does = "gave all traffic back" if rollout.phase is Phase.FAILED else (
        "gives all traffic back" if rollout.phase is Phase.ROLLING_BACK else "takes over"
    )  # fmt: skip
    yield f"{called(told, rollout.candidate)} {does}{again}: "
    yield Span(str(rollout.phase), _PHASES.get(rollout.phase, Style.PLAIN))
    since = {
        Phase.HOLDING: rollout.held_since,
        Phase.STARTING: rollout.waiting_since,
        Phase.FAILED: rollout.failed_since,
    }.get(rollout.phase)
    if read_time(since) is not None:
        yield f" for {age(read_time(since), picture.now)}"
    if rollout.message and rollout.message != rollout.phase.lower():
        yield f", {' '.join(rollout.message.split())}"


def _steps(picture: Picture, rollout: RolloutStatus) -> Iterable[Cell]:
    """Those that are done are faint, and the one that stands is marked."""
    shares = [*(step.weight for step in picture.steps), 100]
    for number, share in enumerate(shares):
        if number:
            yield Span(" → ", Style.FAINT)
        word = f"{share} %" if share else "preview"
        if number == rollout.step and not rollout.failed:
            yield Span(f"[{word}]", Style.STRONG)
        else:
            yield Span(word, Style.FAINT if number < rollout.step else Style.PLAIN)
