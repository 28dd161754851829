"""A chromium for browser tests: the system's, else installed by root through apt, else Debian's packages unpacked into the cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.embedded.debian import Apt, missing
from deploy.embedded.places import Say, cache_dir, draft_of, locked
from streams.errors import IocError, Misconfigured, Retry

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_WRAPPER = """\
#!/bin/sh
r={root}
for d in "$r"/usr/lib/*-linux-gnu "$r"/lib/*-linux-gnu "$r"/usr/lib/*-linux-gnu/*/; do LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$d; done
export LD_LIBRARY_PATH
exec "$r/usr/lib/chromium/chromium" "$@"
"""


def find() -> str | None:
    """The program of a chromium on this machine: IOC_CHROMIUM, then PATH, then the cache; None when there is none."""
    told = os.environ.get("IOC_CHROMIUM")
    if told:
        return told
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    return str(_unpacked()) if _unpacked().exists() else None


def ensure(say: Say) -> str:
    """The program of a chromium, brought by apt when there is none. Raises Misconfigured without apt, Retry when its archive is away."""
    found = find()
    if found is not None:
        return found
    if missing():
        raise Misconfigured("there is no chromium, and no apt to bring one", "install chromium, or set IOC_CHROMIUM to its program")
    if os.geteuid() == 0:
        say("installing chromium for the browser tests (apt-get, once)")
        _install()
    else:
        with locked(_root().with_suffix(".lock"), 900, say):
            if find() is None:
                say("fetching chromium for the browser tests, 150 MB (once)")
                _unpack()
    found = find()
    if found is None:
        raise Misconfigured("apt brought no chromium", "install it by hand, or set IOC_CHROMIUM to its program")
    return found


def _install() -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:  # of the installation: lists that cannot be refreshed may still do
        raise Retry(f"apt-get install chromium failed: {done.stderr.strip()[-800:]}", "see whether apt's archive can be reached")


def _unpack() -> None:
    shutil.rmtree(_root(), ignore_errors=True)
    with draft_of(_root()) as draft:
        apt = Apt(draft.parent / "apt")
        apt.update()
        apt.unpack(apt.closure("chromium") or ["chromium"], draft)
        wrapper = draft / _unpacked().name
        wrapper.write_text(_WRAPPER.format(root=_root()))
        wrapper.chmod(0o755)


def _root() -> Path:
    return cache_dir() / "chromium"


def _unpacked() -> Path:
    return _root() / "run-chromium"


def main() -> int:
    """What `make test` runs: 0 when there is a chromium afterwards."""
    try:
        ensure(lambda words: print(f"set-up: {words}", file=sys.stderr, flush=True))
    except IocError as error:
        print(f"set-up: {error.wrong}. {error.mend}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
