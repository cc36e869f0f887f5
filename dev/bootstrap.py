"""Makes `.venv` (or `$UV_PROJECT_ENVIRONMENT`) what pyproject.toml and uv.lock say, with nothing
installed beforehand but Python.

`python3 dev/bootstrap.py [EXTRA ...]` finds uv, or installs it into a folder of its own below
`$XDG_CACHE_HOME/modelfleet`, and lets it do the rest. Standard library only, and any Python 3, so
that an old one is told so in a sentence instead of a syntax error.
"""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST_UV = (0, 9)
UV_REQUIREMENT = "uv>=%d.%d,<1" % OLDEST_UV
EXTRAS = ("operator", "runtime", "dev")


def fail(sentence):
    # type: (str) -> None
    sys.exit("modelfleet: " + sentence)


def say(sentence):
    # type: (str) -> None
    print("modelfleet: " + sentence, file=sys.stderr, flush=True)


def cache():
    # type: () -> str
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "modelfleet")


def apt(package):
    # type: (str) -> None
    """Installs a Debian package as root, after saying so; ends with a sentence where it cannot."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        fail(
            "the Python module venv (with pip) is missing; install it, for example with "
            "`sudo apt-get install " + package + "`, or install uv, and start again."
        )
    say("installing the Debian package " + package + " (needed once, for uv)")
    subprocess.check_call(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    lock = ["-o", "DPkg::Lock::Timeout=300"]
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    subprocess.check_call([*command, *lock], env=environment, stdout=subprocess.DEVNULL)


def is_new_enough(uv):
    # type: (str) -> bool
    told = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    numbers = told.split()[1].split(".") if len(told.split()) > 1 else ["0", "0"]
    return (int(numbers[0]), int(numbers[1])) >= OLDEST_UV


def find_uv():
    # type: () -> str
    found = shutil.which("uv")
    if found and is_new_enough(found):
        return found
    home = os.path.join(cache(), "uv")
    uv = os.path.join(home, "bin", "uv")
    if os.path.exists(uv):
        return uv
    say("installing uv into " + home)
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        apt("python%d.%d-venv" % sys.version_info[:2])
    unfinished = home + ".%d" % os.getpid()
    pip = [os.path.join(unfinished, "bin", "python"), "-m", "pip", "install", "-q"]
    try:
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", unfinished])
        subprocess.check_call([*pip, "--disable-pip-version-check", UV_REQUIREMENT])
    except subprocess.CalledProcessError:
        shutil.rmtree(unfinished, ignore_errors=True)
        fail("uv could not be installed (see above); is PyPI reachable? Or install uv yourself.")
    try:
        os.rename(unfinished, home)
    except OSError:  # another start was first
        shutil.rmtree(unfinished)
    return uv


def main():
    # type: () -> int
    if sys.version_info < (3, 11):
        fail(
            "Python 3.11 or later is needed, this is %d.%d (%s); name another with "
            "`make PYTHON=python3.12 ...`."
            % (sys.version_info[0], sys.version_info[1], sys.executable)
        )
    extras = [*EXTRAS, *sys.argv[1:]]
    command = [find_uv(), "sync", "--frozen", "--python", sys.executable]
    for extra in extras:
        command += ["--extra", extra]
    venv = os.environ.get("UV_PROJECT_ENVIRONMENT") or ".venv"
    say("installing the Python packages of uv.lock into " + venv + " (a minute the first time)")
    done = subprocess.call([*command, "-q"], cwd=ROOT)
    if done != 0:
        fail("uv could not install the Python packages (see above); is there a network?")
    stamp = os.path.join(ROOT, venv, ".synced")
    with open(stamp, "w") as file:
        file.write(" ".join(extras) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
