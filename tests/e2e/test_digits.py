"""The demo's own steps: the trained model, asked from inside the cluster."""

import re

from dev import install
from dev.demo import digits
from dev.images import Images
from tests.e2e.kube import Kube, is_true
from tests.e2e.program import Program

ACCURACY = re.compile(r"accuracy on (\d+) held-out images: ([\d.]+) %")


def test_the_digits_are_read_right_from_inside_the_cluster(
    operator: str,
    kube: Kube,
    kubectl: Program,
    tools: install.Tools,
    images: Images,
    namespace: str,
) -> None:
    runtime = images.runtime.reference
    digits.serve(tools, namespace, runtime)
    printed = digits.evaluate(tools, namespace, runtime)
    found = ACCURACY.search(printed)
    assert found, printed
    assert int(found[1]) >= 300
    assert float(found[2]) >= 97.0
    assert printed.count("read as") == 3

    second = digits.EXAMPLE / "kubernetes" / "version-2.yaml"
    kubectl(
        "patch", "mdep", "digits", "--namespace", namespace,
        "--type", "merge", "--patch-file", str(second),
    )  # fmt: skip
    after = kube.until(
        namespace, "mdep", "digits",
        lambda m: is_true("Ready")(m) and m["status"].get("version") == "2",
        timeout=120,
    )  # fmt: skip
    assert len(after["status"]["variants"][0]["revisions"]) == 2
    again = ACCURACY.search(digits.evaluate(tools, namespace, runtime))
    assert again
    assert float(again[2]) >= 97.0
