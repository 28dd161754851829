"""Debian's packages without installing them: apt checks and fetches, dpkg-deb unpacks into a folder."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.errors import Misconfigured, Retry

KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")


@dataclass(frozen=True)
class User:
    """Whom a program runs as. None: as ourselves."""

    uid: int | None = None
    gid: int | None = None
    home: Path | None = None


OURSELVES = User()


@dataclass(frozen=True)
class Apt:
    """apt with lists and downloads of its own in `folder`; the machine's own apt state is only read.

    suite: of the Debian archive this machine uses (`trixie`), against an empty machine, so that a closure is complete;
    None: what the machine itself uses, so that a closure is what it lacks.
    """

    folder: Path
    suite: str | None = None
    user: User = OURSELVES

    def update(self) -> None:
        """Fetch the package lists. Raises Misconfigured without apt or archive, Retry when it cannot be reached."""
        for part in ("lists/partial", "cache/archives/partial", "packages"):
            made = self.folder / part
            made.mkdir(parents=True, exist_ok=True)
        (self.folder / "apt.conf").write_text(self._configuration())
        if self.user.uid is not None and self.user.gid is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self.user.uid, self.user.gid)
        self._run("apt-get", "update", "-qq")

    def closure(self, package: str) -> list[str]:
        """The names of `package` and of everything it needs that is not installed, recommendations left out."""
        uris = self._run("apt-get", "install", "--print-uris", "-qq", "-y", "--no-install-recommends", package)
        return re.findall(r"(?m)^'[^']*' ([^_\s]+)_", uris)

    def unpack(self, packages: Sequence[str], into: Path) -> None:
        """Download the packages (apt checks signature and hashes) and unpack them below `into`."""
        self._run("apt-get", "download", "-qq", *packages)
        for package in sorted((self.folder / "packages").glob("*.deb")):
            self._run("dpkg-deb", "-x", str(package), str(into))

    def _configuration(self) -> str:
        here = self.folder
        lines = [
            f'Dir::State::lists "{here}/lists"; Dir::Cache "{here}/cache";',
            'Acquire::Languages "none"; APT::Install-Recommends "false"; Acquire::Retries "3"; Debug::NoLocking "true";',
        ]
        if self.suite is not None:
            (here / "status").touch()
            (here / "sources.list").write_text(f"deb [signed-by={_keyring()}] {_archive()} {self.suite} main\n")
            lines += [
                f'Dir::State "{here}"; Dir::State::status "{here}/status"; Dir::Etc::sourcelist "{here}/sources.list";',
                'Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; Dir::Etc::preferences "/dev/null";',
                'Acquire::Check-Valid-Until "false";',
            ]
        return "\n".join(lines) + "\n"

    def _run(self, *command: str) -> str:
        environment = {"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
        done = run_as(self.user, command, self.folder / "packages", environment)
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
            raise Retry(f"{command[0]} {command[1]} ended with {done.returncode}: {said}", "see whether apt's archive can be reached")
        return done.stdout


def run_as(
    user: User, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as `user` in `folder`, no stdin, its words captured."""
    surroundings = {**os.environ, **(environment or {})}
    if user.home is not None:
        surroundings["HOME"] = str(user.home)
    return subprocess.run(
        command,
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        user=user.uid,
        group=user.gid,
        extra_groups=None if user.uid is None else [],
        umask=0o077 if user.uid is not None else -1,
    )


def missing() -> list[str]:
    """What this machine lacks of the programs that this needs."""
    return [program for program in ("apt-get", "dpkg-deb") if shutil.which(program) is None]


def _archive() -> str:
    """The Debian archive that apt already uses here, else IOC_DEBIAN_ARCHIVE."""
    told = os.environ.get("IOC_DEBIAN_ARCHIVE")
    if told:
        return told
    asked = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], capture_output=True, text=True)
    for address in asked.stdout.splitlines():
        if re.search(r"/debian/*$", address):
            return address
    raise Misconfigured("apt on this machine knows no Debian archive", "set IOC_DEBIAN_ARCHIVE to one, or IOC_DATABASE__DSN to a server")


def _keyring() -> str:
    for keyring in KEYRINGS:
        if os.access(keyring, os.R_OK):
            return keyring
    raise Misconfigured("the Debian archive's keys are not on this machine", "install the package debian-archive-keyring")
