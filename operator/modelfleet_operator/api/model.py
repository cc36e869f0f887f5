"""What must be so of a model's address, beyond its shape."""

from typing import Final

from modelfleet_operator.api.rules import rule, rules

MODEL: Final = rules(
    rule(
        "!self.uri.startsWith('http') || has(self.digest)",
        "give the digest with an http or https address, so that every pod serves the same bytes: "
        "sha256: and what `curl -sfL ADDRESS | sha256sum` prints.",
    ),
    rule(
        "!self.uri.startsWith('http') || self.uri.matches(r'^https?://[^/]+/.+$')",
        "write the address with a host and a path, like https://host/models/digits.onnx.",
        ".uri",
    ),
    # The spec is read by everyone who may look at the resource, and the address is logged.
    rule(
        "!self.uri.matches(r'^https?://[^/]*@')",
        "leave the user and the password out of the address: it is shown in the status and in "
        "logs. Put the model where none is needed, or on a claim (pvc://claim/path).",
        ".uri",
    ),
    rule(
        "!self.uri.startsWith('file:') || self.uri.matches(r'^file:///[^/]')",
        "write a path from the root, with three slashes, like file:///opt/models/digits.",
        ".uri",
    ),
    rule(
        "!self.uri.startsWith('pvc:') || "
        "self.uri.matches(r'^pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(/.*)?$')",
        "write pvc://claim/path, with the name of a PersistentVolumeClaim of the same namespace "
        "(lower-case letters, digits, - and .).",
        ".uri",
    ),
    rule(
        r"!self.uri.matches(r'/\.\.(/|$)')",
        "write the path without .. in it.",
        ".uri",
    ),
)
