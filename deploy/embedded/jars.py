"""The broker's jars: fetched once by mvn or jgo, each checked against kafka_jars.lock, kept in the cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.embedded.places import Say, cache_dir, draft_of, locked
from streams.errors import Misconfigured, Retry

SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LOCK = Path(__file__).with_name("kafka_jars.lock")


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(lock: Path = LOCK) -> tuple[Jar, ...]:
    """The jars that `lock` names, one `group:artifact:version sha256:HEX` a line."""
    found = []
    for line in lock.read_text().splitlines():
        if line and not line.startswith("#"):
            coordinate, digest = line.split()
            group, artifact, version = coordinate.split(":")
            found.append(Jar(group, artifact, version, digest.removeprefix("sha256:")))
    return tuple(found)


def folder(lock: Path = LOCK) -> Path:
    """Where the jars of that lock lie or will lie."""
    return cache_dir() / "kafka" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]


def fetched(lock: Path = LOCK) -> bool:
    """Whether every jar is in the cache (they were checked when they came in)."""
    there = folder(lock)
    return all((there / jar.file).is_file() for jar in read_lock(lock))


def ensure(say: Say, lock: Path = LOCK) -> Path:
    """The folder with every jar of the lock. Raises Misconfigured when one is not what the lock names, Retry when they cannot be had."""
    there = folder(lock)
    if fetched(lock):
        return there
    with locked(there.with_suffix(".lock"), 600, say):
        if fetched(lock):
            return there
        shutil.rmtree(there, ignore_errors=True)
        with draft_of(there) as draft:
            _fetch(read_lock(lock), draft, say)
    return there


def way() -> str | None:
    """What would fetch the jars here: `mvn`, `jgo` or nothing."""
    if shutil.which("mvn"):
        return "mvn"
    try:
        import jgo  # noqa: F401 - only whether it is there
    except ImportError:
        return None
    return "jgo"


def _fetch(jars: tuple[Jar, ...], into: Path, say: Say) -> None:
    chosen = way()
    if chosen is None:
        raise Misconfigured("there is neither mvn nor the jgo package to fetch the broker", "run `make setup`, which brings jgo")
    say(f"fetching Apache Kafka, {len(jars)} jars, 44 MB, by {chosen} (once)")
    if chosen == "mvn":
        _by_maven(jars, into)
    else:
        _by_jgo(jars, into)
    for jar in jars:
        got = hashlib.sha256((into / jar.file).read_bytes()).hexdigest()
        if got != jar.sha256:
            raise Misconfigured(
                f"{jar.file} is not the one that kafka_jars.lock names (sha256 {got[:16]}.. instead of {jar.sha256[:16]}..)",
                "delete it from the local Maven repository and try again; if it comes back, do not run it",
            )


def _by_maven(jars: tuple[Jar, ...], into: Path) -> None:
    with tempfile.TemporaryDirectory(dir=into.parent) as held:
        pom = Path(held) / "pom.xml"
        pom.write_text("\n".join(_pom(jars)))
        command = ["mvn", "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={into}"]
        done = subprocess.run(command, cwd=held, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise Retry(f"mvn could not fetch the broker: {said}", "see whether the Maven repository can be reached (~/.m2/settings.xml)")


def _pom(jars: tuple[Jar, ...]) -> Iterator[str]:
    """Every jar as a direct dependency without its own: the lock decides, not Maven's resolution."""
    yield "<project><modelVersion>4.0.0</modelVersion><groupId>ioc</groupId><artifactId>broker</artifactId><version>1</version>"
    yield "<packaging>pom</packaging><dependencies>"
    for jar in jars:
        yield f"<dependency><groupId>{escape(jar.group)}</groupId><artifactId>{escape(jar.artifact)}</artifactId>"
        yield f"<version>{escape(jar.version)}</version><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId>"
        yield "</exclusion></exclusions></dependency>"
    yield "</dependencies></project>"


def _by_jgo(jars: tuple[Jar, ...], into: Path) -> None:
    from jgo.maven import MavenContext

    repository = into.parent / "repository"
    maven = MavenContext(repo_cache=repository, timeout=60)

    def one(jar: Jar) -> None:
        got = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        shutil.copyfile(got, into / jar.file)

    try:
        with _system_certificates(), ThreadPoolExecutor(8) as pool:
            list(pool.map(one, jars))
    except Exception as error:  # jgo and requests raise what they like; any of it means the same here
        raise Retry(f"jgo could not fetch the broker: {error}", "see whether the Maven repository can be reached") from error


@contextmanager
def _system_certificates() -> Iterator[None]:
    """requests trusts a list of its own; a house whose proxy signs has put its authority into the system's list."""
    if "REQUESTS_CA_BUNDLE" in os.environ or not SYSTEM_CERTIFICATES.is_file():
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = str(SYSTEM_CERTIFICATES)
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]
