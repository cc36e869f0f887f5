"""The whole program on an API server in memory: what it prints, and how it ends."""

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cli.__main__ import MANAGER, run
from modelfleet_operator.cli.exits import ExitCode
from modelfleet_operator.cli.parser import build
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import ApiError, Conflict, NotFound, Refused, Unavailable
from modelfleet_operator.cluster.kubeconfig import NoCluster
from modelfleet_operator.kinds import Json
from tests.unit.operator.builders import NAME, NAMESPACE
from tests.unit.operator.cli.cases import (
    ARMS,
    CONTROL_NEW,
    aborted,
    arms,
    cluster,
    cluster_of_arms,
    model,
    moving,
    noted,
    raw,
    rollout,
    said,
    settled,
    terminal,
)
from tests.unit.operator.memory_api import MemoryApi, Write, refusing


def ran(api: MemoryApi, *arguments: str, **how: Any) -> tuple[ExitCode, str, str]:
    """Exit code, standard output, standard error."""
    asked: list[tuple[str | None, str | None, str]] = []

    async def connect(
        kubeconfig: str | None, context: str | None, manager: str
    ) -> tuple[KubeApi, str]:
        asked.append((kubeconfig, context, manager))
        return api, NAMESPACE

    spoken = terminal(**how)
    code = run(build().parse_args(arguments), spoken, connect)
    assert all(manager == MANAGER for _, _, manager in asked)
    return code, said(spoken), noted(spoken)


def annotations(api: MemoryApi) -> Json:
    found = api.find(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)
    assert found is not None
    marks: Json = found["metadata"]["annotations"]
    return {key.removeprefix(f"{labels.GROUP}/"): text for key, text in marks.items()}


# -- showing


def test_get_lists_a_namespace_or_all() -> None:
    api = cluster()
    api.put(kinds.MODEL_DEPLOYMENT, raw(settled(), name="other", namespace="team-b"))
    assert [line.split()[0] for line in ran(api, "get")[1].splitlines()] == ["NAME", "digits"]
    everywhere = ran(api, "get", "-A")[1].splitlines()
    assert [line.split()[:2] for line in everywhere] == [
        ["NAMESPACE", "NAME"], ["team-a", "digits"], ["team-b", "other"]
    ]  # fmt: skip
    assert "other" in ran(api, "-n", "team-b", "get")[1], "the flag may stand before the verb"
    assert "other" in ran(api, "get", "-n", "team-b")[1]


def test_get_for_programs_is_what_kubectl_gives() -> None:
    api = cluster()
    listed = json.loads(ran(api, "get", "-o", "json")[1])
    assert (listed["kind"], len(listed["items"])) == ("List", 1)
    assert yaml.safe_load(ran(api, "get", NAME, "-o", "yaml")[1])["spec"] == raw()["spec"]
    assert ran(api, "get", "-o", "name")[1] == "modeldeployment.modelfleet.dev/digits\n"


def test_an_empty_namespace_is_no_failure() -> None:
    code, out, err = ran(MemoryApi(), "get")
    assert (code, out) == (ExitCode.OK, "")
    assert err == "There are no ModelDeployments in namespace team-a.\n"
    assert json.loads(ran(MemoryApi(), "get", "-o", "json")[1])["items"] == []


def test_status_once() -> None:
    code, out, _ = ran(cluster(moving(rollout())), "status", NAME)
    assert code == ExitCode.OK
    assert "├─ revision 3" in out
    assert json.loads(ran(cluster(), "status", NAME, "-o", "json")[1])["phase"] == "Ready"
    assert yaml.safe_load(ran(cluster(), "status", NAME, "-o", "yaml")[1])["phase"] == "Ready"


def test_history_in_a_table_and_for_programs() -> None:
    assert "digits-aaa" in ran(cluster(), "history", NAME)[1]
    past = json.loads(ran(cluster(), "history", NAME, "-o", "json")[1])
    assert [each["state"] for each in past] == ["kept", "kept", "stable"]


def test_whoever_may_not_read_events_sees_the_rest() -> None:
    api = cluster()
    listed = api.list

    async def denied(kind: kinds.Kind, *rest: Any, **more: Any) -> list[Json]:
        if kind == kinds.EVENT:
            raise Refused("events is forbidden")
        return await listed(kind, *rest, **more)

    api.list = denied  # type: ignore[method-assign]
    code, out, _ = ran(api, "status", NAME)
    assert code == ExitCode.OK
    assert "events" not in out


# -- steering


def test_a_verb_is_written_by_the_person_with_the_stamp() -> None:
    api = cluster(moving(rollout()))
    code, out, err = ran(api, "promote", NAME)
    assert (code, out, err) == (ExitCode.OK, "digits goes past step 2 of 2 (50 %)\n", "")
    assert annotations(api) == {"promote": "ccc/1/1"}
    assert ran(api, "promote", NAME)[0] == ExitCode.OK
    assert [str(write) for write in api.writes] == ["patch ModelDeployment digits"]


def test_an_abort_wins_over_what_was_said_before() -> None:
    api = cluster(moving(rollout()))
    ran(api, "promote", NAME, "--all")
    ran(api, "pause", NAME)
    assert ran(api, "abort", NAME)[0] == ExitCode.OK
    assert annotations(api)["abort"] == "ccc/1/1"
    code, _, err = ran(api, "promote", NAME)
    assert code == ExitCode.FAILED
    assert "an abort wins" in err


def test_a_retry_takes_the_abort_away_that_ended_the_attempt() -> None:
    api = cluster(moving(aborted(), weight=0), annotations={"abort": "ccc/1/1"})
    assert ran(api, "retry", NAME)[0] == ExitCode.OK
    assert annotations(api) == {"retry": "ccc/1/1"}


def test_a_retry_never_takes_away_an_abort_that_it_has_not_seen() -> None:
    api = cluster(moving(aborted(), weight=0))

    def meanwhile(write: Write) -> None:
        """Somebody else retried, and aborted that attempt, just before."""
        api.watched.clear()
        second = moving(rollout(attempt=2))
        api.put(kinds.MODEL_DEPLOYMENT, raw(second, annotations={"abort": "ccc/2/1"}))

    api.watched.append(meanwhile)
    code, _, err = ran(api, "retry", NAME)
    assert code == ExitCode.FAILED
    assert "being rolled back" in err
    assert annotations(api) == {"abort": "ccc/2/1"}


def test_the_operator_may_write_in_between() -> None:
    api = cluster(moving(rollout(step=0), weight=5))

    def meanwhile(write: Write) -> None:
        api.watched.clear()
        api.put(kinds.MODEL_DEPLOYMENT, raw(moving(rollout(step=1))))

    api.watched.append(meanwhile)
    assert ran(api, "pause", NAME)[0] == ExitCode.OK
    assert annotations(api) == {"pause": "ccc/1/1"}


def test_what_changes_all_the_time_is_given_up() -> None:
    api = cluster(moving(rollout()))
    api.watched.append(refusing("patch", kinds.MODEL_DEPLOYMENT, Conflict("modified")))
    code, _, err = ran(api, "abort", NAME)
    assert code == ExitCode.FAILED
    assert "changes all the time" in err


def test_pause_and_resume() -> None:
    api = cluster(moving(rollout()))
    ran(api, "pause", NAME)
    assert annotations(api) == {"pause": "ccc/1/1"}
    assert ran(api, "resume", NAME)[1] == "digits goes on\n"
    assert annotations(api) == {}
    assert ran(api, "resume", NAME)[1] == "digits is not paused\n"


# -- undo


def test_undo_changes_the_spec_and_warns() -> None:
    api = cluster()
    code, out, err = ran(api, "undo", NAME)
    assert (code, out) == (
        ExitCode.OK, "digits goes back to revision 2 (version 1): spec.model changed\n"
    )  # fmt: skip
    assert "spec.runtime, spec.resources, spec.accelerator, spec.podTemplate stay" in err
    assert "note: only the cluster was changed" in err
    found = api.find(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)
    assert found is not None
    assert found["spec"]["model"]["uri"] == "file:///models/v1"
    assert found["metadata"]["generation"] == 5
    again = ran(api, "undo", NAME, "--to", "2")
    assert again[:2] == (ExitCode.OK, "digits asks for revision 2 (version 1) already\n")


def test_undo_is_only_shown_where_that_is_asked_for() -> None:
    api = cluster()
    code, out, _ = ran(api, "undo", NAME, "--to", "1", "--dry-run")
    assert code == ExitCode.OK
    assert yaml.safe_load(out) == {"spec": {"model": {"uri": "file:///models/v0", "version": "0"}}}
    assert api.writes == []


def test_undo_of_what_somebody_changed_meanwhile_is_not_done() -> None:
    api = cluster()

    def meanwhile(write: Write) -> None:
        api.put(kinds.MODEL_DEPLOYMENT, raw(settled(), generation=5))

    api.watched.append(meanwhile)
    code, _, err = ran(api, "undo", NAME)
    assert code == ExitCode.FAILED
    assert "was changed by somebody else at this moment" in err


# -- several variants


def of_both() -> MemoryApi:
    return cluster_of_arms(arms(rollout(step=0, candidate=CONTROL_NEW), rollout()))


def test_each_variant_is_paused_and_resumed_by_its_name() -> None:
    api = of_both()
    code, out, err = ran(api, "pause", NAME)
    assert (code, out) == (ExitCode.FAILED, "")
    assert "`modelfleet pause digits --variant control`" in err
    assert ran(api, "pause", NAME, "--variant", "control")[1] == (
        "variant control of digits stays where it is\n"
    )
    ran(api, "pause", NAME, "--variant", "challenger")
    assert annotations(api) == {"pause": "ggg/1/0, ccc/1/1"}
    ran(api, "resume", NAME, "--variant", "control")
    assert annotations(api) == {"pause": "ccc/1/1"}
    ran(api, "resume", NAME)
    assert annotations(api) == {}


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_a_verb_is_said_to_both(verb: str) -> None:
    api = of_both()
    for name in ("challenger", "control"):
        assert ran(api, verb, NAME, "--variant", name)[0] == ExitCode.OK
    assert annotations(api) == {verb: "ccc/1/1, ggg/1/0"}


@pytest.mark.parametrize(
    "arguments",
    [["abort"], ["promote"], ["retry"], ["pause"], ["resume"], ["undo"], ["logs"], ["history"]],
)
def test_a_variant_that_is_not_there_ends_with_3(arguments: list[str]) -> None:
    code, out, err = ran(of_both(), *arguments, NAME, "--variant", "treatment")
    assert (code, out) == (ExitCode.NOT_FOUND, "")
    assert "digits has no variant treatment: it has control and challenger" in err


def test_an_undo_of_one_variant() -> None:
    api = cluster_of_arms()
    code, out, err = ran(api, "undo", NAME)
    assert (code, out) == (ExitCode.FAILED, "")
    assert "`modelfleet undo digits --variant challenger`" in err
    found = ran(api, "undo", NAME, "--variant", "challenger", "--dry-run")[1]
    control, challenger = ARMS["variants"]
    before = {"variants": [control, {**challenger, "model": model("1")}]}
    assert yaml.safe_load(found) == {"spec": before}
    assert ran(api, "undo", NAME, "--variant", "challenger")[1] == (
        "variant challenger of digits goes back to revision 2 (version 1): "
        "spec.variants[challenger].model changed\n"
    )
    stored = api.find(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)
    assert stored is not None
    assert stored["spec"] == ARMS | before
    assert ran(api, "undo", NAME, "--to", "2", "--variant", "challenger")[1] == (
        "variant challenger of digits asks for revision 2 (version 1) already\n"
    )


def test_an_undo_says_that_a_restart_stays() -> None:
    api = cluster_of_arms(annotations={"restart": "x"})
    code, _, err = ran(api, "undo", NAME, "--variant", "control")
    assert code == ExitCode.OK
    assert "note: the restart since then stays" in err
    assert annotations(api) == {"restart": "x"}


def test_history_of_several() -> None:
    api = cluster_of_arms()
    assert ran(api, "history", NAME)[1].startswith("VARIANT")
    one = ran(api, "history", NAME, "--variant", "challenger")[1].splitlines()
    assert [line.split()[:2] for line in one[1:]] == [["challenger", "2"], ["challenger", "3"]]
    assert not ran(cluster(), "history", NAME)[1].startswith("VARIANT")


# -- endings


def failing(error: Exception) -> MemoryApi:
    api = MemoryApi()

    async def fail(*_: Any, **__: Any) -> Json:
        raise error

    api.get = fail  # type: ignore[method-assign]
    return api


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (NotFound('modeldeployments.modelfleet.dev "digits" not found'), 3, "no ModelDeployment"),
        (NotFound("404 page not found"), 3, "modelfleet is not installed there"),
        (Unavailable("GET /apis: Connection refused"), 4, "Connection refused"),
        (NoCluster("there is no kubeconfig at x"), 4, "there is no kubeconfig"),
        (Refused("modeldeployments is forbidden"), 1, "refuses: modeldeployments is forbidden"),
        (ApiError("odd"), 1, "refuses: odd"),
        (ValueError("two\nlines"), 1, "this is a bug: ValueError: two lines"),
    ],
)
def test_whatever_goes_wrong_is_one_sentence(error: Exception, code: int, says: str) -> None:
    found, out, err = ran(failing(error), "status", NAME)
    assert (found, out) == (code, "")
    assert says in err
    assert err.startswith("modelfleet: ")
    assert err.count("\n") == 1


def test_an_interruption_is_no_failure_to_explain() -> None:
    assert ran(failing(KeyboardInterrupt()), "status", NAME) == (ExitCode.INTERRUPTED, "", "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["fly"], ["status"], ["get", "-o", "xml"], ["undo", "digits", "--to", "x"],
        ["logs", "digits", "--tail", "few"], ["status", "digits", "--timeout", "soon"],
        ["completion", "tcsh"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build().parse_args(arguments)
    assert ended.value.code == ExitCode.USAGE
    assert "usage: modelfleet" in capsys.readouterr().err


def test_flags_are_kubectls() -> None:
    options = build().parse_args(["--context", "a", "status", "x", "-n", "b", "--kubeconfig", "c"])
    assert (options.context, options.namespace, options.kubeconfig) == ("a", "b", "c")


# -- help and completion


VERBS = (
    "get", "status", "history", "logs", "promote", "abort", "retry", "pause", "resume", "restart",
    "undo",
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_teaches(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build("kubectl modelfleet").parse_args([verb, "--help"])
    told = capsys.readouterr().out
    assert f"usage: kubectl modelfleet {verb}" in told
    assert "--context" in told
    assert "  modelfleet" not in told, "an example names another program"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_learns_every_verb(shell: str) -> None:
    code, out, _ = ran(MemoryApi(), "completion", shell)
    assert code == ExitCode.OK
    for verb in VERBS:
        assert verb in out
    assert "modelfleet get -o name" in out


def test_bash_reads_what_it_is_given() -> None:
    script = ran(MemoryApi(), "completion", "bash")[1]
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def loaded(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("module", ["kopf", "modelfleet_operator.loop"])
def test_the_program_needs_nothing_of_the_operators_loop(module: str) -> None:
    code = (
        "import sys; from modelfleet_operator.cli import get, logs, say, status, undo, history; "
        f"print({module!r} in sys.modules)"
    )
    assert loaded(code) == "False\n"


def test_help_does_not_wait_for_the_kubernetes_client() -> None:
    code = "import sys; import modelfleet_operator.cli.__main__; print('kubernetes' in sys.modules)"
    assert loaded(code) == "False\n"
