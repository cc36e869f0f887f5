"""Load on one server, by wrk: as many connections as asked, each with one request at a time."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runtime.wire import Wire

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_LUA = """\
local bodies = {%s}
local requests, at = {}, 0
init = function()
  for _, path in ipairs(bodies) do
    local file = io.open(path, "rb")
    requests[#requests + 1] = wrk.format("POST", %s, {%s}, file:read("*a"))
    file:close()
  end
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
"""


@dataclass(frozen=True)
class Load:
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int


def script(wire: Wire, folder: Path) -> Path:
    """The requests as wrk reads them, each written once."""
    files = []
    for number, body in enumerate(wire.bodies):
        file = folder / f"body-{number}"
        file.write_bytes(body)
        files.append(f'"{file}"')
    headers = ", ".join(f'["{name}"] = "{value}"' for name, value in wire.headers.items())
    made = folder / "load.lua"
    made.write_text(_LUA % (", ".join(files), f'"{wire.path}"', headers))
    return made


def run(script: Path, port: int, connections: int, seconds: float) -> Load:
    """Raises `SystemExit` where wrk is missing or says nothing."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    command = [
        "wrk", "--latency", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s",
        "--timeout", "30s", "-s", str(script), f"http://127.0.0.1:{port}",
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    half = re.search(r"50%\s+([\d.]+)([a-z]+)", told)
    most = re.search(r"99%\s+([\d.]+)([a-z]+)", told)
    if not (rate and half and most):
        raise SystemExit(f"wrk said nothing to be read:\n{told}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    sockets = re.findall(r"(?:connect|read|write|timeout) (\d+)", told)
    errors = (int(bad[1]) if bad else 0) + sum(map(int, sockets))
    return Load(
        float(rate[1]), float(half[1]) * _UNITS[half[2]], float(most[1]) * _UNITS[most[2]], errors
    )
