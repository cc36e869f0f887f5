"""`completion`: what a shell is told of the verbs and their flags."""

import argparse

from modelfleet_operator.cli.exits import Refusal

SHELLS = ("bash", "zsh", "fish")

_NAMES = {
    "bash": """
_modelfleet_names() {
  compgen -W "$(modelfleet get -o name 2>/dev/null | cut -d/ -f2)" -- "$1"
}
""",
    "zsh": """
_modelfleet_names() {
  local -a names
  names=(${(f)"$(modelfleet get -o name 2>/dev/null | cut -d/ -f2)"})
  compadd -a names
}
""",
}
NAMES = {"bash": "_modelfleet_names", "zsh": "_modelfleet_names",
         "fish": "modelfleet get -o name 2>/dev/null | string replace -r '.*/' ''"}  # fmt: skip
"""How a shell completes the name of a ModelDeployment: by asking the cluster."""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Raises `Refusal` where the library that writes it is not there."""
    try:
        import shtab
    except ImportError:
        raise Refusal(
            "completion needs shtab: install modelfleet[cli], as by "
            "`uv tool install 'modelfleet[cli]'`"
        ) from None
    written: str = shtab.complete(parser, shell, preamble=_NAMES.get(shell, ""))
    return written
