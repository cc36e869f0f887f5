"""What does the API server say of a ModelDeployment that cannot be meant?

A case is a valid object, one change to it, and the words to expect. Every change is tried on the
real API server, as a dry run: the rules are written in CEL and nothing else evaluates them. One
mistake earns one message, and never one about a rule that could not be evaluated.
"""

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.e2e.program import Completed, Program

pytestmark = pytest.mark.usefixtures("crd_installed")

CRD = Path(__file__).parents[2] / "crds" / "modelfleet.dev_modeldeployments.yaml"

DIGEST = "sha256:" + 64 * "a"
VALID: dict[str, Any] = {
    "apiVersion": "modelfleet.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "digits", "namespace": "default"},
    "spec": {"model": {"uri": "pvc://models/digits/3", "version": "3"}},
}


class Case(NamedTuple):
    name: str
    change: dict[str, Any]
    """Merged into the valid object; None takes a field out."""
    says: str = ""
    """A part of the message; empty where the object is accepted."""


def model(**fields: Any) -> dict[str, Any]:
    return {"spec": {"model": fields}}


def runtime(**fields: Any) -> dict[str, Any]:
    return {"spec": {"runtime": fields}}


def engine(of: str, **fields: Any) -> dict[str, Any]:
    return {"spec": {"model": {"format": of}, "runtime": {"engine": fields}}}


def env(**fields: Any) -> dict[str, Any]:
    return runtime(env=[{"name": "A", **fields}])


def resources(**fields: Any) -> dict[str, Any]:
    return {"spec": {"resources": fields}}


def accelerator(**fields: Any) -> dict[str, Any]:
    return {"spec": {"accelerator": fields}}


def autoscaling(*, requests: str | None = "1", **fields: Any) -> dict[str, Any]:
    cpu = {"requests": {"cpu": requests}} if requests else {}
    return {"spec": {"autoscaling": {"maxReplicas": 4, **fields}, "resources": cpu}}


def rollout(**fields: Any) -> dict[str, Any]:
    return {"spec": {"rollout": fields}}


def pod(**fields: Any) -> dict[str, Any]:
    return {"spec": {"podTemplate": fields}}


STEPS: list[dict[str, Any]] = [{"weight": 5, "pause": "2m"}, {"weight": 50}]


def routed(rollout: dict[str, Any] | None = None, **routing: Any) -> dict[str, Any]:
    return {"spec": {"routing": {"mode": "Router", **routing}, "rollout": rollout or {}}}


def arms(*weights: int, **more: Any) -> dict[str, Any]:
    """Variants a, b, c ... with these weights."""
    variants = [
        {"name": name, "weight": weight}
        for name, weight in zip("abcdefghij", weights, strict=False)
    ]
    return {"spec": {"variants": variants, "routing": {"mode": "Router", **more}}}


def arm(**fields: Any) -> dict[str, Any]:
    """Two variants, one of which has these fields."""
    variants = [{"name": "a", "weight": 50}, {"name": "b", "weight": 50, **fields}]
    return {"spec": {"variants": variants, "routing": {"mode": "Router"}}}


def compared(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Two variants and a shadow, and how they are compared."""
    made = arms(50, 50, 0, mirror=[{"variant": "c"}])
    made["spec"]["runtime"] = {"feedback": ["clicked"]}
    made["spec"]["experiment"] = {**({"metrics": list(metrics)} if metrics else {}), **fields}
    return made


def matching(*matches: dict[str, Any]) -> dict[str, Any]:
    return arms(100, 0, matches=[{"variant": "b", **each} for each in matches])


def header(name: str, value: str = "b") -> dict[str, Any]:
    return {"name": name, "value": value}


def by_gateway(
    rollout: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None, **routing: Any
) -> dict[str, Any]:
    return routed(rollout, mode="Gateway", gateway=gateway or {"name": "models"}, **routing)


def steps(*weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    return routed({"strategy": "Progressive", "steps": list(weights), **more})


def analysis(**fields: Any) -> dict[str, Any]:
    return steps(*STEPS, analysis=fields)


def asked(**fields: Any) -> dict[str, Any]:
    """A step that is judged by a query; None takes one of its fields out."""
    query = {"name": "q", "query": "vector(1)", "max": "1", **fields}
    return analysis(queries=[{key: value for key, value in query.items() if value is not None}])


def mounted(kind: dict[str, Any], path: str = "/data", name: str = "data") -> dict[str, Any]:
    return pod(volumes=[{"name": name, **kind}], volumeMounts=[{"name": name, "mountPath": path}])


def named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def _messages(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "rule" in node and "message" in node:
            yield node["message"]
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from _messages(value)


MESSAGES = sorted(set(_messages(yaml.safe_load(CRD.read_text()))))

REFUSED = [
    # The name.
    Case("a name too long for a revision's Service", named("d" * 53), "at most 52 characters"),
    Case("a name with a dot", named("digits.v3"), "without dots"),
    Case("a name that begins with a digit", named("3digits"), "beginning with a letter"),
    *(
        Case(f"a name of others, {name}", named(name), "objects of others are called")
        for name in ("a-router", "a-preview", "a-feedback", "modelfleet")
    ),
    # What there is.
    Case("no spec", {"spec": None}, "spec: Required value"),
    Case("no model", {"spec": {"model": None}}, "spec.model: Required value"),
    Case("no address", model(uri=None), "spec.model.uri: Required value"),
    Case("a misspelt field", {"spec": {"replica": 2}}, 'unknown field "spec.replica"'),
    Case("a misspelt nested field", model(ulr="x"), 'unknown field "spec.model.ulr"'),
    # The model.
    Case("another kind of address", model(uri="s3://models/digits"), "pvc://claim/path"),
    Case("an address with a space", model(uri="pvc://models/my digits"), "without spaces"),
    Case("an address with a query", model(uri="https://host/d?v=3", digest=DIGEST), "? or #"),
    Case("http without a digest", model(uri="http://host/digits.onnx"), "give the digest"),
    Case("https without a digest", model(uri="https://host/digits.onnx"), "give the digest"),
    Case("http without a path", model(uri="http://host", digest=DIGEST), "a host and a path"),
    Case(
        "a password in the address",
        model(uri="https://me:secret@host/digits.onnx", digest=DIGEST),
        "leave the user and the password out",
    ),
    Case("a digest of another kind", model(digest="md5:abc"), "write sha256:"),
    Case("a digest cut short", model(digest="sha256:abc"), "64 hexadecimal digits"),
    Case("a file address with two slashes", model(uri="file://opt/digits"), "three slashes"),
    Case("a claim in capitals", model(uri="pvc://Models/digits"), "PersistentVolumeClaim"),
    Case("a claim with an underscore", model(uri="pvc://my_models/d"), "PersistentVolumeClaim"),
    Case("a way out of a claim", model(uri="pvc://models/../secret"), "without .. in it"),
    Case("a way up at a path's end", model(uri="file:///opt/models/.."), "without .. in it"),
    Case("a format that is not known", model(format="tensorflow"), "Unsupported value"),
    Case("an empty version", model(version=""), "spec.model.version"),
    # The runtime.
    Case("a timeout without a unit", runtime(timeout="30"), "in whole numbers"),
    Case("a timeout with a fraction", runtime(timeout="1.5s"), "in whole numbers"),
    Case("a timeout of nothing", runtime(timeout="0s"), "above 0s and up to 1h"),
    Case("a timeout of a day", runtime(timeout="24h"), "above 0s and up to 1h"),
    Case(
        "a delay as long as the timeout",
        runtime(timeout="1s", batching={"maxDelay": "1000ms"}),
        "would time out before its batch is sent",
    ),
    Case(
        "a delay past the default timeout",
        runtime(batching={"maxDelay": "31s"}),
        "would time out before its batch is sent",
    ),
    Case(
        "a delay without batching",
        runtime(batching={"maxSize": 1, "maxDelay": "5ms"}),
        "maxDelay has no effect while maxSize is 1",
    ),
    Case("half precision for ONNX", engine("onnx", precision="float16"), "precision has no effect"),
    Case("compiled TorchScript", engine("torchscript", compile=True), "compile has no effect"),
    Case("a device for a class", engine("python", device="cpu"), "device has no effect"),
    Case("no workers", engine("python", workers=0), "greater than or equal to 1"),
    Case(
        "an accelerator that stands idle",
        {"spec": {"accelerator": {"count": 1}, "runtime": {"engine": {"device": "cpu"}}}},
        "the accelerator would stand idle",
    ),
    Case(
        "a preferred size above the largest",
        runtime(batching={"maxSize": 8, "preferredSizes": [4, 16]}),
        "take the larger ones out of preferredSizes",
    ),
    Case("a preferred size twice", runtime(batching={"preferredSizes": [4, 4]}), "Duplicate value"),
    Case("a queue of no bytes", runtime(batching={"queueBytes": "0Mi"}), "no request would fit"),
    Case(
        "a queue of many words", runtime(batching={"queueBytes": "much"}), "like 64Mi, 1Gi or 500M"
    ),
    Case(
        "padding without batching",
        runtime(batching={"maxSize": 1, "padding": [{"input": "x"}]}),
        "padding has no effect while maxSize is 1",
    ),
    Case(
        "padding one input twice",
        runtime(batching={"padding": [{"input": "x"}, {"input": "x", "value": 1}]}),
        "Duplicate value",
    ),
    Case(
        "a default level that is not there",
        runtime(batching={"priorities": {"levels": 2, "default": 3}}),
        "raise levels, or lower default",
    ),
    Case(
        "bounds for a level that is not there",
        runtime(batching={"priorities": {"levels": 2, "default": 1, "queues": [{"level": 3}]}}),
        "take the entry out of queues",
    ),
    Case(
        "what happens after a time-out that is not there",
        runtime(
            batching={
                "priorities": {
                    "levels": 2,
                    "default": 1,
                    "queues": [{"level": 2, "onQueueTimeout": "Defer"}],
                }
            }
        ),
        "give the level one",
    ),
    Case(
        "what happens after a time in the queue that has no end",
        runtime(batching={"onQueueTimeout": "Defer"}),
        "onQueueTimeout has no effect",
    ),
    Case(
        "no time in the queue",
        runtime(batching={"queueTimeout": "0s"}),
        "no request could wait at all",
    ),
    Case(
        "no time in the queue of one level",
        runtime(
            batching={
                "priorities": {
                    "levels": 2,
                    "default": 1,
                    "queues": [{"level": 2, "queueTimeout": "0s"}],
                }
            }
        ),
        "no request of the level could wait at all",
    ),
    Case(
        "a time in the queue beyond the whole time",
        runtime(timeout="1s", batching={"queueTimeout": "2s"}),
        "write a batching.queueTimeout shorter than timeout",
    ),
    Case(
        "a way with large requests that there is not",
        runtime(batching={"oversize": "Drop"}),
        "supported values",
    ),
    Case("batches of nothing", runtime(batching={"maxSize": 0}), "greater than or equal to 1"),
    Case("a timeout of ages", runtime(timeout="9" * 25 + "h"), "above 0s and up to 1h"),
    Case(
        "a delay of ages",
        runtime(batching={"maxDelay": "9" * 25 + "h"}),
        "would time out before its batch is sent",
    ),
    Case(
        "a value of the model under a name that is posted",
        runtime(values=[{"name": "a", "output": "y"}], feedback=["a"]),
        "give each a name of its own",
    ),
    Case("a value of no output", runtime(values=[{"name": "a"}]), "output: Required value"),
    Case(
        "a value twice",
        runtime(values=[{"name": "a", "output": "y"}, {"name": "a", "output": "z"}]),
        "Duplicate value",
    ),
    Case("a name of two words", runtime(feedback=["was clicked"]), "letters, digits, _ and -"),
    Case("an image with a space", runtime(image="my image"), "without spaces"),
    Case("a variable of the operator's", env(name="MODELFLEET_SERVE", value="x"), "another name"),
    Case("a variable without a value", env(), "exactly one of value and valueFrom"),
    Case(
        "a variable with two values",
        env(value="x", valueFrom={"secretKeyRef": {"name": "s", "key": "k"}}),
        "exactly one of value and valueFrom",
    ),
    Case("a variable from nowhere", env(valueFrom={}), "exactly one of secretKeyRef"),
    Case(
        "a variable from a misspelt place",
        env(valueFrom={"secretRef": {"name": "s", "key": "k"}}),
        'unknown field "spec.runtime.env[0].valueFrom.secretRef"',
    ),
    Case(
        "a variable with a bad name", env(name="9-lives", value="x"), "not beginning with a digit"
    ),
    Case(
        "a variable given twice",
        runtime(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "Duplicate value",
    ),
    # Resources and accelerators.
    Case("an amount without sense", resources(requests={"cpu": "lots"}), "an amount like 500m"),
    Case("an amount below nothing", resources(limits={"cpu": -1}), "an amount like 500m"),
    Case("an amount with two units", resources(limits={"memory": "1GiB"}), "an amount like 500m"),
    Case(
        "more asked for than is allowed",
        resources(requests={"memory": "2Gi"}, limits={"memory": "1024M"}),
        "ask in requests for no more than limits allow",
    ),
    Case("a misspelt resource", resources(limits={"mem": "1Gi"}), "use the names cpu, memory"),
    Case(
        "an accelerator asked for twice",
        {"spec": {"accelerator": {}, "resources": {"limits": {"nvidia.com/gpu": 1}}}},
        "accelerator already asks for that resource",
    ),
    Case(
        "an accelerator asked for in requests too",
        {
            "spec": {
                "accelerator": {"resourceName": "amd.com/gpu"},
                "resources": {"requests": {"amd.com/gpu": "2"}},
            }
        },
        "accelerator already asks for that resource",
    ),
    Case("an accelerator's bare name", accelerator(resourceName="gpu"), "the full name"),
    Case("no accelerators, spelled out", accelerator(count=0), "greater than or equal to 1"),
    Case(
        "a product label without products",
        accelerator(productLabel="example.com/product"),
        "productLabel has no effect without products",
    ),
    Case(
        "another vendor's products in NVIDIA's label",
        accelerator(resourceName="amd.com/gpu", products=["MI300X"]),
        "another vendor's",
    ),
    Case(
        "a product label that is none",
        accelerator(productLabel="a label", products=["L4"]),
        "the key of a node label",
    ),
    Case("a product named twice", accelerator(products=["L4", "L4"]), "Duplicate value"),
    # The number of pods.
    Case(
        "replicas and an autoscaler",
        {"spec": {**autoscaling()["spec"], "replicas": 2}},
        "replicas and autoscaling exclude each other",
    ),
    Case("fewer pods than none", {"spec": {"replicas": -1}}, "greater than or equal to 0"),
    Case("at least five, at most four", autoscaling(minReplicas=5), "minReplicas is above"),
    Case("no upper bound", autoscaling(maxReplicas=None), "maxReplicas: Required value"),
    Case(
        "a share of CPU that nobody requests",
        autoscaling(requests=None),
        "add resources.requests.cpu",
    ),
    Case("an autoscaler that looks at nothing", autoscaling(metrics=[]), "at least 1 items"),
    Case(
        "an autoscaler that looks at what is not known",
        autoscaling(metrics=[{"type": "Mood", "target": 1}]),
        "Unsupported value",
    ),
    # The rollout.
    Case("a deadline too short", rollout(progressDeadline="5s"), "from 10s to 24h"),
    Case("a deadline of days", rollout(progressDeadline="48h"), "from 10s to 24h"),
    Case("a deadline in days", rollout(progressDeadline="2d"), "in whole numbers"),
    Case(
        "steps without a router",
        rollout(strategy="Progressive", steps=STEPS),
        "a plain Service cannot split the traffic",
    ),
    Case("steps that go down", steps({"weight": 50}, {"weight": 5}), "the weights go up"),
    Case("a step twice", steps({"weight": 5}, {"weight": 5}), "the weights go up"),
    Case("a step of nothing", steps({"weight": 0}), "greater than or equal to 1"),
    Case("a step of too much", steps({"weight": 101}), "less than or equal to 100"),
    Case("no steps", steps(), "a progressive rollout needs steps"),
    Case("steps that are not looked at", routed({"steps": STEPS}), "steps have no effect"),
    Case(
        "a pause without an end",
        steps({"weight": 5, "pause": "1m", "untilPromoted": True}),
        "pause has no effect beside untilPromoted",
    ),
    Case("a pause of months", steps({"weight": 5, "pause": "800h"}), "a pause of at most 720h"),
    Case("a preview without blue and green", routed({"preview": {}}), "preview has no effect"),
    Case(
        "a preview of months",
        routed({"strategy": "BlueGreen", "preview": {"pause": "800h"}}),
        "a pause of at most 720h",
    ),
    Case("a bake without a router", rollout(bake="1m"), "bake has no effect without a router"),
    Case("a bake of months", routed({"bake": "800h"}), "a bake of at most 720h"),
    Case("a failed revision kept for ever", rollout(debugFor="500h"), "at most 168h"),
    Case(
        "an analysis of nothing that lasts",
        routed({"analysis": {}}),
        "there is nothing to judge: write strategy",
    ),
    Case("an analysis without a measure", analysis(compareToStable=False), "nothing to judge by"),
    Case("an error rate without %", analysis(maxErrorRate="0.01"), "a percentage, like 1%"),
    Case("an error rate of 0", analysis(maxErrorRate="0%"), "no number of requests could prove"),
    Case("no latency", analysis(maxLatency={}), "at least one of p50, p95 and p99"),
    Case("a query without a limit", asked(max=None), "no answer would be wrong"),
    Case(
        "a query that nothing answers well", asked(min="2", max="1e-1"), "a min that is not above"
    ),
    Case("a limit in words", asked(max="half"), "a number in quotes, like '0.5'"),
    Case("a limit with a unit", asked(min="5ms"), "a number in quotes, like '0.5'"),
    Case("a limit with two mistakes", asked(min="x", max="y"), "a number in quotes, like '0.5'"),
    Case("a query's name in capitals", asked(name="GPU"), "in lower-case letters, digits and -"),
    Case("an unknown placeholder", asked(query="up{pod='{{ revision }}'}"), "in double braces"),
    Case("a placeholder's beginning", asked(query="up{pod='{{revision'}"), "in double braces"),
    Case("a query of a book", asked(query="a" * 1025), "query: Too long"),
    Case("no bad look is allowed", asked(failures=0), "greater than or equal to 1"),
    Case(
        "five queries",
        analysis(queries=[{"name": f"q{n}", "query": "up", "max": "1"} for n in range(5)]),
        "must have at most 4 items",
    ),
    Case(
        "one query twice",
        analysis(queries=[{"name": "q", "query": "up", "max": "1"} for _ in range(2)]),
        "Duplicate value",
    ),
    Case("a latency of an hour", analysis(maxLatency={"p99": "1h"}), "from 1ms to 60s"),
    Case("a long warm-up", analysis(warmUp="2h"), "from 0s to 1h"),
    Case("an analysis without an end", analysis(timeout="300h"), "from 1s to 168h"),
    Case("in place without a router", rollout(surge="InPlace"), "all traffic moves at once"),
    Case(
        "steps where one goes before the other comes",
        routed({"strategy": "Progressive", "steps": STEPS, "surge": "Recreate"}),
        "never stand beside each other",
    ),
    Case(
        "a preview in place",
        routed({"strategy": "BlueGreen", "surge": "InPlace"}),
        "a preview stands ready beside all that serves",
    ),
    # The routing.
    Case("sticky twice", routed(sticky={"header": "x-user", "cookie": "c"}), "write either header"),
    Case("sticky by nothing", routed(sticky={}), "write either header"),
    Case("sticky by no header", routed(sticky={"header": "x user"}), "the name of a header"),
    Case("sticky by no cookie", routed(sticky={"cookie": "a;b"}), "the name of a cookie"),
    Case(
        "sticky without a router",
        {"spec": {"routing": {"sticky": {"header": "x-user"}}}},
        "sticky has no effect without a router",
    ),
    Case(
        "a Gateway that is not named",
        {"spec": {"routing": {"mode": "Gateway"}}},
        "mode: Gateway and gateway go together",
    ),
    Case(
        "a Gateway that is not asked for",
        routed(gateway={"name": "models"}),
        "mode: Gateway and gateway go together",
    ),
    Case(
        "gRPC at the listener of HTTP",
        by_gateway(gateway={"name": "models", "sectionName": "a", "grpcSectionName": "a"}),
        "a listener is for HTTP or for gRPC",
    ),
    Case(
        "gRPC at any listener's",
        by_gateway(gateway={"name": "models", "grpcSectionName": "a"}),
        "write another one in sectionName",
    ),
    Case(
        "sticky callers of a Gateway",
        by_gateway(sticky={"header": "x-user"}),
        "sticky has no effect without a router",
    ),
    Case(
        "retries of a Gateway",
        by_gateway(retries="Idempotent"),
        "retries has no effect without a router",
    ),
    Case(
        "an analysis of what a Gateway sends",
        by_gateway({"strategy": "Progressive", "steps": STEPS, "analysis": {"minRequests": 100}}),
        "what a Gateway counts cannot be read",
    ),
    Case(
        "an experiment on what a Gateway sends",
        {
            "spec": {
                **by_gateway()["spec"],
                "experiment": {},
                "variants": [{"name": "a", "weight": 50}, {"name": "b", "weight": 50}],
            }
        },
        "what a Gateway counts cannot be read",
    ),
    Case(
        "a router of its own without one",
        {"spec": {"routing": {"router": "Dedicated"}}},
        "router has no effect without one",
    ),
    Case(
        "retries without a router",
        {"spec": {"routing": {"retries": "Idempotent"}}},
        "retries has no effect without a router",
    ),
    # The variants.
    Case("weights that sum to 90", arms(50, 40), "must sum to 100"),
    Case("a weight above 100", arms(101), "100"),
    Case("no variant at all", arms(), "at least 1 items"),
    Case("nine variants", arms(100, 0, 0, 0, 0, 0, 0, 0, 0), "must have at most 8 items"),
    Case("a variant in capitals", arm(name="B"), "lower-case letters"),
    Case("two variants of one name", arm(name="a"), "Duplicate value"),
    Case(
        "variants behind a plain Service",
        {"spec": {"variants": [{"name": "a", "weight": 100}]}},
        "a plain Service cannot split the traffic",
    ),
    Case(
        "a variant with replicas and an autoscaler",
        arm(replicas=1, autoscaling={"maxReplicas": 2}, resources={"requests": {"cpu": 1}}),
        "exclude each other",
    ),
    Case("a share for no pods", arm(replicas=0), "nobody would answer its share"),
    Case(
        "a variant that is autoscaled on nothing",
        arm(autoscaling={"maxReplicas": 2}),
        "add resources.requests.cpu",
    ),
    Case("a misspelt field of a variant", arm(modle={}), 'unknown field "spec.variants[1].modle"'),
    Case(
        "a variant's model without its digest",
        arm(model={"uri": "https://host/model.onnx"}),
        "give the digest",
    ),
    Case(
        "a variant's model with a password",
        arm(model={"uri": "https://me:secret@host/model.onnx", "digest": DIGEST}),
        "leave the user and the password out",
    ),
    # Which variant answers whom.
    Case("a match of no variant", matching({"variant": "x", "path": "/b"}), "is not there"),
    Case("a match without variants", routed(matches=[{"variant": "x", "path": "/b"}]), "not there"),
    Case("a match that takes everything", matching({}), "would take every request"),
    Case("a match by no header", matching({"headers": [header("x y")]}), "the name of a header"),
    Case("a match by a letter", matching({"headers": [header("x-b", "ä")]}), "printable ASCII"),
    Case("a match by no path", matching({"path": "v2"}), "how the path begins"),
    Case(
        "a match that hides a later one",
        matching({"path": "/v2"}, {"path": "/v2/models", "headers": [header("x-b")]}),
        "hides a later one",
    ),
    Case(
        "a match that hides one of another spelling",
        matching({"headers": [header("X-B")]}, {"headers": [header("x-b"), header("x-c")]}),
        "hides a later one",
    ),
    Case("the same match twice", matching({"path": "/v2"}, {"path": "/v2"}), "stands twice"),
    Case("a copy for no variant", arms(100, 0, mirror=[{"variant": "x"}]), "is not there"),
    Case("a copy for who answers", arms(50, 50, mirror=[{"variant": "b"}]), "cannot answer"),
    Case(
        "a copy for who is asked by name",
        arms(100, 0, mirror=[{"variant": "b"}], matches=[{"variant": "b", "path": "/b"}]),
        "cannot answer",
    ),
    Case("no copies", arms(100, 0, mirror=[{"variant": "b", "percent": 0}]), "1"),
    Case(
        "matches without a router",
        {"spec": {"routing": {"matches": [{"variant": "a", "path": "/a"}]}}},
        "is not there",
    ),
    # The pods.
    Case("a label of the operator's", pod(labels={"modelfleet.dev/revision": "x"}), "prefix"),
    Case("a common label", pod(labels={"app.kubernetes.io/name": "x"}), "prefix"),
    Case("an annotation of the operator's", pod(annotations={"modelfleet.dev/x": ""}), "prefix"),
    Case("a label's value with a space", pod(labels={"team": "team a"}), "a label's value"),
    Case("a pull secret that is none", pod(imagePullSecrets=["my secret"]), "name of an object"),
    Case("a volume named like the operator's", mounted({"emptyDir": {}}, name="tmp"), "own"),
    Case("a mount over the models", mounted({"emptyDir": {}}, path="/models"), "elsewhere"),
    Case("a mount on a relative path", mounted({"emptyDir": {}}, path="data"), "absolute path"),
    Case("a volume of no kind", mounted({}), "exactly one kind of volume"),
    Case(
        "a folder of the node's",
        mounted({"hostPath": {"path": "/"}}),
        'unknown field "spec.podTemplate.volumes[0].hostPath"',
    ),
    Case(
        "a mount of no volume",
        pod(volumeMounts=[{"name": "data", "mountPath": "/data"}]),
        "each mount names a volume",
    ),
    Case(
        "a volume that nothing mounts",
        pod(volumes=[{"name": "data", "emptyDir": {}}]),
        "a volume has no effect unless",
    ),
    Case(
        "a misspelt toleration",
        pod(tolerations=[{"keys": "gpu"}]),
        'unknown field "spec.podTemplate.tolerations[0].keys"',
    ),
    Case(
        "a misspelt affinity",
        pod(affinity={"nodeAffinitty": {}}),
        'unknown field "spec.podTemplate.affinity.nodeAffinitty"',
    ),
    # The experiment.
    Case(
        "an experiment without variants",
        {"spec": {"experiment": {}}},
        "write two variants or more to compare",
    ),
    Case("a control that is not there", compared(control="z"), "as control one that has a weight"),
    Case("a shadow as control", compared(control="c"), "as control one that has a weight"),
    Case("a metric that is not known", compared({"type": "Speed"}), "Unsupported value"),
    Case("a value without a name", compared({"type": "Value"}), "write name with Value"),
    Case("errors with a name", compared({"type": "ErrorRate", "name": "x"}), "write name with"),
    Case(
        "a threshold of errors",
        compared({"type": "ErrorRate", "threshold": "1s"}),
        "threshold goes with Latency",
    ),
    Case("a goal of errors", compared({"type": "ErrorRate", "goal": "Lower"}), "goal and missing"),
    Case(
        "missing latencies",
        compared({"type": "Latency", "missing": "Zero"}),
        "goal and missing with Value",
    ),
    Case(
        "a threshold of an hour",
        compared({"type": "Latency", "threshold": "1h"}),
        "write 1ms to 60s, like 250ms",
    ),
    Case(
        "a value that nobody counts",
        compared({"type": "Value", "name": "bought"}),
        "into runtime.values or runtime.feedback as well",
    ),
    Case(
        "one metric twice",
        compared({"type": "ErrorRate"}, {"type": "ErrorRate"}),
        "Duplicate value",
    ),
    Case("a confidence of a coin", compared(confidence="40%"), "write 50% to 99.99%"),
    Case("a confidence of certainty", compared(confidence="100%"), "write 50% to 99.99%"),
]

ACCEPTED = [
    Case("a rollout by steps", steps(*STEPS, {"weight": 80, "untilPromoted": True})),
    Case("a rollout that is judged", analysis(maxErrorRate="0.5%", maxLatency={"p99": "250ms"})),
    Case(
        "a rollout that is judged by a query alone",
        analysis(
            compareToStable=False,
            queries=[
                {
                    "name": "gpu-memory",
                    "query": "max(used{pod=~'{{revision}}-.*', ns='{{namespace}}'})\n/ on() "
                    "max(used{pod=~'{{stable}}-.*', of='{{name}}', arm='{{variant}}'})",
                    "min": "-1",
                    "max": "1.5e9",
                    "failures": 1,
                }
            ],
        ),
    ),
    Case(
        "blue and green",
        routed({"strategy": "BlueGreen", "preview": {"pause": "5m"}, "bake": "10m"}),
    ),
    Case("a change that bakes and is judged", routed({"bake": "10m", "analysis": {}})),
    Case(
        "in place by steps", routed({"strategy": "Progressive", "steps": STEPS, "surge": "InPlace"})
    ),
    Case("three variants", arms(50, 30, 20)),
    Case(
        "a variant with all of its own",
        arm(
            model={"uri": "https://host/m.onnx", "digest": DIGEST},
            autoscaling={"maxReplicas": 2},
            resources={"requests": {"cpu": 1}},
            accelerator={},
        ),
    ),
    Case(
        "the narrower match first",
        matching({"path": "/v2", "headers": [header("x-b")]}, {"path": "/v2"}),
    ),
    Case("a shadow", arms(100, 0, mirror=[{"variant": "b", "percent": 10}])),
    Case("a comparison by errors", compared()),
    Case(
        "a comparison by everything",
        compared(
            {"type": "ErrorRate"},
            {"type": "Latency", "threshold": "250ms"},
            {"type": "Value", "name": "clicked", "goal": "Higher", "missing": "Zero"},
            control="b",
            confidence="99%",
        ),
    ),
    Case("routers of its own", routed(router="Dedicated")),
    Case("steps by a Gateway", by_gateway({"strategy": "Progressive", "steps": STEPS})),
    Case(
        "all of a Gateway",
        by_gateway(
            {"bake": "1m"},
            {
                "name": "models",
                "namespace": "infra",
                "sectionName": "http",
                "grpcSectionName": "grpc",
                "hostnames": ["models.example.com", "*.models.example.com"],
            },
        ),
    ),
    Case("sticky callers", routed(sticky={"cookie": "mf-id"}, retries="Idempotent")),
    Case("half precision for torch.export", engine("pt2", precision="float16", compile=True)),
    Case("settings for a format to be found", engine("auto", precision="float16", compile=True)),
    Case("the least", {}),
    Case("the root of a claim", model(uri="pvc://models")),
    Case("a path with dots in its names", model(uri="pvc://models/v..1/...x")),
    Case("a file in the image", model(uri="file:///opt/models/digits.onnx")),
    Case("a digest for a claim", model(digest=DIGEST)),
    Case("https with a digest", model(uri="https://host:8443/a/d.onnx", digest=DIGEST)),
    Case("whole numbers as amounts", resources(requests={"cpu": 1, "memory": "1.5Gi"})),
    Case("as much as is allowed", resources(requests={"cpu": "1000m"}, limits={"cpu": 1})),
    Case("a device of another vendor", resources(limits={"example.com/device": 1})),
    Case("an accelerator by its defaults", accelerator()),
    Case(
        "another vendor's products",
        accelerator(resourceName="amd.com/gpu", products=["MI300X"], productLabel="amd.com/gpu"),
    ),
    Case("none, to stop", {"spec": {"replicas": 0}}),
    Case("an autoscaler", autoscaling(minReplicas=2)),
    Case(
        "an autoscaler on what the limit requests",
        {"spec": {**autoscaling()["spec"], "resources": {"limits": {"cpu": 2}}}},
    ),
    Case("a delay and a timeout", runtime(timeout="1h", batching={"maxDelay": "1500us"})),
    Case("a batch of one", runtime(batching={"maxSize": 1})),
    Case(
        "values and feedback",
        runtime(
            values=[{"name": "a", "output": "y", "reduce": "Max"}, {"name": "b", "output": "y"}],
            feedback=["c"],
        ),
    ),
    Case(
        "batching with all that there is",
        runtime(
            batching={
                "preferredSizes": [4, 32],
                "queueBytes": "1Gi",
                "queueTimeout": "5s",
                "onQueueTimeout": "Refuse",
                "oversize": "Refuse",
                "padding": [{"input": "x", "value": -1}],
                "priorities": {
                    "levels": 3,
                    "default": 2,
                    "queues": [
                        {"level": 2, "queueTimeout": "1s", "onQueueTimeout": "Defer"},
                        {"level": 3, "queueSize": 5},
                    ],
                },
            }
        ),
    ),
    Case("an empty variable", env(value="")),
    Case("a variable from the pod", env(valueFrom={"fieldRef": {"fieldPath": "status.podIP"}})),
    Case("a volume", mounted({"configMap": {"name": "labels", "items": []}})),
    Case("the longest name", named("d" * 52)),
    Case(
        "an overlay",
        pod(
            labels={"team": "a"},
            annotations={"example.com/why": "because"},
            nodeSelector={"pool": "gpu"},
            tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}},
            imagePullSecrets=["registry"],
            priorityClassName="high",
        ),
    ),
]


def changed(change: dict[str, Any], of: dict[str, Any]) -> dict[str, Any]:
    """`of` with `change` merged into it (RFC 7386)."""
    made = copy.deepcopy(of)
    for key, value in change.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, dict) and isinstance(made.get(key), dict):
            made[key] = changed(value, made[key])
        else:
            made[key] = value
    return made


def try_out(kubectl: Program, document: dict[str, Any]) -> Completed:
    text = json.dumps(document)
    return kubectl("apply", "--dry-run=server", "-f", "-", stdin=text, check=False)


def by_name(cases: list[Case]) -> list[Any]:
    return [pytest.param(case, id=case.name) for case in cases]


@pytest.mark.parametrize("case", by_name(REFUSED))
def test_refuses(kubectl: Program, case: Case) -> None:
    answer = try_out(kubectl, changed(case.change, VALID))
    assert answer.returncode != 0, answer.stdout
    assert case.says in answer.stderr
    assert "evaluating rule" not in answer.stderr
    said = [message for message in MESSAGES if message in answer.stderr]
    assert len(said) <= 1, "one mistake, one message"


@pytest.mark.parametrize("case", by_name(ACCEPTED))
def test_accepts(kubectl: Program, case: Case) -> None:
    answer = try_out(kubectl, changed(case.change, VALID))
    assert answer.returncode == 0, answer.stderr
    assert "Warning" not in answer.stderr


CHANGES = [
    (
        routed(),
        Case("other routers", routed(router="Dedicated"), "callers cannot be moved from one pair"),
    )
]
"""What there is, and a change of it that is refused."""


@pytest.mark.parametrize(("there", "case"), [pytest.param(*c, id=c[1].name) for c in CHANGES])
def test_refuses_a_change(kubectl: Program, there: dict[str, Any], case: Case) -> None:
    name = {"metadata": {"name": "digits-changed"}, "spec": {"replicas": 0}}
    before = changed(name, changed(there, VALID))
    kubectl("apply", "--filename", "-", stdin=json.dumps(before))
    try:
        answer = try_out(kubectl, changed(case.change, before))
        assert answer.returncode != 0, answer.stdout
        assert case.says in answer.stderr
    finally:
        kubectl("delete", "mdep", "digits-changed", "--wait=false")


def test_every_rule_has_a_case() -> None:
    """A rule that nothing tries may well say the opposite of what it means."""
    tried = [case.says for case in (*REFUSED, *(change for _, change in CHANGES))]
    for message in MESSAGES:
        assert any(says in message for says in tried), f"no case for {message!r}"


def test_defaults_are_written_into_the_object(kubectl: Program) -> None:
    text = json.dumps(VALID)
    answer = kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=text)
    spec = json.loads(answer.stdout)["spec"]
    assert spec == {
        "model": {"uri": "pvc://models/digits/3", "version": "3", "format": "auto"},
        "runtime": {
            "batching": {
                "maxSize": 32,
                "maxDelay": "0s",
                "queueSize": 512,
                "queueBytes": "256Mi",
                "oversize": "Split",
            },
            "engine": {"device": "auto", "compile": False, "workers": 1},
            "timeout": "30s",
        },
        "rollout": {
            "strategy": "Rolling",
            "bake": "0s",
            "onFailure": "Rollback",
            "debugFor": "0s",
            "progressDeadline": "15m",
            "surge": "Auto",
            "historyLimit": 5,
        },
        "routing": {"mode": "Direct", "router": "Shared", "retries": "Safe"},
    }


@pytest.fixture
def earlier_kind(kubectl: Program) -> Iterator[dict[str, Any]]:
    """The same definition in another group and without a rule: what an earlier one might be."""
    definition: dict[str, Any] = yaml.safe_load(CRD.read_text())
    definition["spec"]["group"] = "earlier.modelfleet.dev"
    definition["spec"]["names"]["shortNames"] = []
    definition["spec"]["names"]["categories"] = []
    definition["metadata"]["name"] = "modeldeployments.earlier.modelfleet.dev"
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(_without_rules(definition)))
    _wait_until_served(kubectl, definition["metadata"]["name"])
    yield definition
    kubectl("delete", "crd", definition["metadata"]["name"], "--wait=false", check=False)


def test_new_rules_do_not_lock_in_an_old_object(
    kubectl: Program, earlier_kind: dict[str, Any]
) -> None:
    """What an earlier definition let in can still get its status, be labelled and be deleted."""
    kind = earlier_kind["metadata"]["name"]
    broken = changed(
        {
            "apiVersion": "earlier.modelfleet.dev/v1alpha1",
            "metadata": {"finalizers": ["example.com/held"]},
            "spec": {
                "model": {"uri": "ftp://models/.."},
                "runtime": {"timeout": "soon"},
                "replicas": 1,
                "autoscaling": {"maxReplicas": 2},
            },
        },
        VALID,
    )
    kubectl("create", "-f", "-", stdin=json.dumps(broken))
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(earlier_kind))
    other = json.dumps(changed({"metadata": {"name": "other", "finalizers": None}}, broken))
    deadline = time.monotonic() + 30
    while (
        refused := kubectl("create", "--dry-run=server", "-f", "-", stdin=other, check=False)
    ).returncode == 0:
        assert time.monotonic() < deadline, "the rules never came into force"
        time.sleep(0.2)
    assert "exclude each other" in refused.stderr

    status = json.dumps({"status": {"phase": "Failed", "observedGeneration": 1}})
    kubectl("patch", kind, "digits", "--subresource=status", "--type=merge", "-p", status)
    kubectl("label", kind, "digits", "team=a")
    kubectl("delete", kind, "digits", "--wait=false")
    kubectl("patch", kind, "digits", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert kubectl("get", kind, "digits", check=False).returncode != 0


def _without_rules(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_rules(v) for k, v in node.items() if k != "x-kubernetes-validations"}
    if isinstance(node, list):
        return [_without_rules(v) for v in node]
    return node


def _wait_until_served(kubectl: Program, name: str) -> None:
    kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    deadline = time.monotonic() + 30
    while kubectl("get", name, check=False).returncode != 0:
        assert time.monotonic() < deadline, f"{name} is never served"
        time.sleep(0.2)
