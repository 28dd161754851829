"""`python -m tests.fuzz FORMAT [--seconds 600]`: one format, until the time is over or an input breaks it (libFuzzer through atheris)."""

import argparse
import hashlib
import os
import random
import re
import subprocess
import sys

import atheris

with atheris.instrument_imports(include=["connectors", "streams"]):
    from connectors.formats import FORMATS
    from tests.fuzz import target

    READERS = {name: target.reader(name) for name in FORMATS}  # a format is imported when it is first asked for

LONGEST_BYTES = 1 << 16
ODD = [b"", b"0", b"-1", b"1e9", b"9" * 30, b"\xc2\xb2", b"\xd9\xa3", b"NaN", b"null", b"true", b"[]", b"{}", b"0001-01-01", b"9999-12-31"]
ODD += [b"9999-12-31T23:59:59", b"\x00", b"\xff", b"&#0;", b"&lt;", b"<a/>", b"\\u0000", b"\\ud800", b" " * 9, b";" * 4, b"%00", b"="]
VALUE = re.compile(rb'(?<=>)[^<>]*(?=<)|(?<=")[^"]*(?=")|(?<==)[^&=]*|-?\d+(?:\.\d+)?')


def main() -> None:
    """Fuzz one format; with none named, each in turn in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", nargs="?", choices=sorted(FORMATS))
    parser.add_argument("--seconds", type=int, default=600)
    said = parser.parse_args()
    if said.format is None:
        sys.exit(max(_one(name, said.seconds) for name in sorted(FORMATS)))
    _fuzz(said.format, said.seconds)


def _one(name: str, seconds: int) -> int:
    return subprocess.run([sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds)], check=False).returncode


def _fuzz(name: str, seconds: int) -> None:
    """Never returns: libFuzzer ends the process, 0 when nothing broke. What broke it is kept in the corpus of the tests."""
    found = target.FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    (target.CORPUS / name).mkdir(parents=True, exist_ok=True)
    records = target.seeds(name)
    for raw in [*records, *(path.read_bytes() for path in target.kept(name))]:
        (found / f"seed-{hashlib.sha256(raw).hexdigest()[:16]}").write_bytes(raw)
    words = sorted({word for raw in records for word in re.findall(rb"[\w:.-]{2,40}", raw)})
    reader, arrivals = READERS[name], target.arrivals(name)

    def play(raw: bytes) -> None:
        for arrival in arrivals:
            target.feed(reader, raw, arrival)

    def mutate(raw: bytes, longest: int, seed: int) -> bytes:
        return _mutated(raw, longest, random.Random(seed), words, records)

    arguments = [f"-max_total_time={seconds}", f"-max_len={LONGEST_BYTES}", "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1"]
    arguments.append(f"-artifact_prefix={target.CORPUS / name}{os.sep}")
    atheris.Setup([sys.argv[0], *arguments, str(found)], play, custom_mutator=mutate)
    atheris.Fuzz()


def _mutated(raw: bytes, longest: int, chance: random.Random, words: list[bytes], records: list[bytes]) -> bytes:
    """Half the time libFuzzer's own change of bytes; else a value of the document is put in another's place, so that it still can be read."""
    values = [*VALUE.finditer(raw)] if chance.random() < 0.5 else []
    if not values:
        return bytes(atheris.Mutate(raw, longest))
    for _ in range(chance.choice((1, 1, 2, 4))):
        begin, end = chance.choice(values).span()
        other = chance.choice(records)
        place = chance.randrange(len(other) or 1)
        put = chance.choice((chance.choice(ODD), chance.choice(words), raw[begin:end] * 2, other[place : place + chance.randrange(200)]))
        raw = raw[:begin] + put + raw[end:]
        values = [*VALUE.finditer(raw)] or values
    return raw[:longest]


if __name__ == "__main__":
    main()
