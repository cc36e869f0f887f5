"""Which batches may hold the event loop?"""

from modelfleet_runtime.batching.pace import ENOUGH, SHORT, Pace


def measured(seconds: float, computes: bool = True, runs: int = ENOUGH) -> Pace:
    pace = Pace(computes)
    for _ in range(runs):
        pace.note(8, seconds)
    return pace


def test_a_quick_model_runs_on_the_loop() -> None:
    assert measured(SHORT / 2).on_loop(8)


def test_not_before_it_is_known() -> None:
    assert not measured(SHORT / 2, runs=ENOUGH - 1).on_loop(1)


def test_not_more_rows_than_were_measured() -> None:
    assert not measured(SHORT / 2).on_loop(9)


def test_never_the_code_of_the_models_author() -> None:
    assert not measured(0.0, computes=False).on_loop(1)


def test_one_slow_run_is_remembered_for_a_while_and_not_for_ever() -> None:
    pace = measured(SHORT / 4)
    pace.note(8, SHORT * 4)
    assert not pace.on_loop(8)
    for _ in range(200):
        pace.note(8, SHORT / 4)
    assert pace.on_loop(8)
