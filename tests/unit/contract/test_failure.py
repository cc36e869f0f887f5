"""A failure survives the termination log, and whatever else stands there is a crash."""

from hypothesis import given
from hypothesis import strategies as st

from modelfleet_contract import Failure, FailureReason


@given(st.sampled_from(FailureReason), st.text(min_size=1, max_size=400))
def test_round_trip(reason: FailureReason, message: str) -> None:
    failure = Failure(reason=reason, message=message)
    assert Failure.from_termination_log(failure.to_termination_log()) == failure


@given(st.text("aü€😀", min_size=20, max_size=40).map(lambda text: text * 200))
def test_a_long_message_is_cut_and_fits(message: str) -> None:
    line = Failure(reason=FailureReason.MODEL_INVALID, message=message).to_termination_log()
    assert len(line.encode()) < 4096
    back = Failure.from_termination_log("noise before\n" + line)
    assert back is not None
    assert message.startswith(back.message)


def test_nothing_said() -> None:
    assert Failure.from_termination_log(" \n") is None


def test_other_words_are_a_crash() -> None:
    failure = Failure.from_termination_log("Segmentation fault")
    assert failure == Failure(reason=FailureReason.CRASHED, message="Segmentation fault")
