"""Keys: what is sealed opens only with the private half, names begin with their key's id, older files and names still hold."""

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from deploy.commands import keys as doors
from streams import keyring, pseudonym, sealing
from streams.errors import Misconfigured
from streams.pseudonym import DOMAINS, Pseudonyms
from streams.sealing import NotOpened, PrivateKeys

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def no_keys_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IOC_KEYS", "IOC_KEYS_FILE", "IOC_QUARANTINE_KEYS", "IOC_QUARANTINE_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)


def secrets_of(state: Path, name: str) -> Path:
    return state / "secrets" / name


@given(record=st.binary(max_size=3000))
def test_what_is_sealed_opens_with_the_private_half_and_with_no_other(record: bytes) -> None:
    (public, private), (_, other) = sealing.pair(), sealing.pair()
    sealed = public.seal(record)
    assert PrivateKeys({public.id: private}).open(sealed) == record
    for keys in (PrivateKeys({}), PrivateKeys({public.id: other}), PrivateKeys({"0" * 8: private})):
        with pytest.raises(NotOpened):
            keys.open(sealed)


@given(place=st.integers(0, 200), bit=st.integers(0, 7))
def test_a_sealed_record_that_was_changed_does_not_open(place: int, bit: int) -> None:
    public, private = sealing.pair()
    sealed = bytearray(public.seal(b"what a person said" * 6).encode())
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(NotOpened):
        PrivateKeys({public.id: private}).open(sealed.decode("latin-1"))


def test_a_door_holds_nothing_that_opens(tmp_path: Path) -> None:
    keyring.make(tmp_path)
    sealed = pseudonym.load(tmp_path).seal(b"kept")
    private = sealing.load(tmp_path)
    secrets_of(tmp_path, "quarantine.json").unlink()
    pseudonym.load(tmp_path).seal(b"goes on")
    with pytest.raises(Misconfigured, match="private keys"):
        sealing.load(tmp_path)
    assert private.open(sealed) == b"kept"
    held = json.loads(secrets_of(tmp_path, "keys.json").read_text())
    assert not {key.hex() for key in private.keys.values()} & {held["sealing"]["public"], held["sealing"]["id"]}


def test_keys_of_before_go_on_naming_and_opening_the_same(tmp_path: Path) -> None:
    path = secrets_of(tmp_path, "keys.json")
    path.parent.mkdir()
    fernet = Fernet.generate_key()
    path.write_text(json.dumps(dict.fromkeys(DOMAINS, "ab" * 32) | {"sealing": fernet.decode()}))
    sealed = Fernet(fernet).encrypt(b"set aside last year").decode()
    keyring.make(tmp_path)
    keyring.make(tmp_path)  # twice is as once
    keys, private = pseudonym.load(tmp_path), sealing.load(tmp_path)
    assert private.open(sealed) == b"set aside last year"
    assert private.open(keys.seal(b"now")) == b"now"
    key = hmac.new(bytes.fromhex("ab" * 32), b"mst", "sha256").digest()
    assert keys.domain("tax")("mst", "0101243150") == hashlib.blake2b(b"0101243150", key=key, digest_size=16).hexdigest()
    assert path.stat().st_mode & 0o777 == secrets_of(tmp_path, "quarantine.json").stat().st_mode & 0o777 == 0o600
    assert fernet.decode() not in path.read_text()


def test_a_domain_that_is_new_has_a_key_after_the_next_making_and_nothing_else_changes(tmp_path: Path) -> None:
    keyring.make(tmp_path)
    path = secrets_of(tmp_path, "keys.json")
    before = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in before.items() if name != DOMAINS[-1]}))
    keyring.make(tmp_path)
    after = json.loads(path.read_text())
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {DOMAINS[-1]}
    pseudonym.load(tmp_path).domain(DOMAINS[-1])("mst", "0101243150")


@given(key=st.binary(min_size=32, max_size=100), value=st.text(max_size=200))
def test_a_name_is_the_key_s_id_and_120_bits_of_hmac_sha256(key: bytes, value: str) -> None:
    derived = hmac.new(key, b"mst", "sha256").digest()
    assert Pseudonyms(key, "07")("mst", value) == "07" + hmac.new(derived, value.encode(), "sha256").hexdigest()[:30]


def test_the_same_number_has_another_name_in_each_domain_and_for_each_kind(tmp_path: Path) -> None:
    keyring.make(tmp_path)
    keys = pseudonym.load(tmp_path)
    names = [keys.domain(name)(what, "038087001234") for name in DOMAINS for what in ("mst", "patient")]
    assert len({name[2:] for name in names}) == len(names)
    assert repr(keys.domain("tax")).count("038087001234") == 0


@pytest.mark.parametrize("name", ["keys.json", "quarantine.json"])
def test_a_file_of_keys_that_others_may_read_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    keyring.make(tmp_path)
    secrets_of(tmp_path, name).chmod(0o640)
    with pytest.raises(Misconfigured, match="read by others") as refused:
        pseudonym.load(tmp_path) if name == "keys.json" else sealing.load(tmp_path)
    assert f"chmod 600 {secrets_of(tmp_path, name)}" in refused.value.mend


def test_keys_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.make(tmp_path)
    keys = pseudonym.load(tmp_path)
    monkeypatch.setenv("IOC_KEYS", secrets_of(tmp_path, "keys.json").read_text())
    monkeypatch.setenv("IOC_QUARANTINE_KEYS", secrets_of(tmp_path, "quarantine.json").read_text())
    elsewhere = tmp_path / "elsewhere"
    assert pseudonym.load(elsewhere).domain("tax")("mst", "1") == keys.domain("tax")("mst", "1")
    assert sealing.load(elsewhere).open(keys.seal(b"x")) == b"x"
    keyring.make(elsewhere)
    assert not elsewhere.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tax": []}', '{"tax": "ab"}', '{"tax": [{"id": "01"}]}', "\0"])
def test_a_file_that_holds_no_keys_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    for name in ("keys.json", "quarantine.json"):
        path = secrets_of(tmp_path, name)
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
    with pytest.raises(Misconfigured, match="cannot be read"):
        pseudonym.load(tmp_path)
    with pytest.raises(Misconfigured, match="private keys"):
        sealing.load(tmp_path)


def test_a_new_key_of_the_quarantine_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    keyring.make(tmp_path)
    before = pseudonym.load(tmp_path)
    old = before.seal(b"old")
    assert keyring.rotate(tmp_path, "sealing") != before.sealing.id
    new = pseudonym.load(tmp_path).seal(b"new")
    assert new[:8] != old[:8]
    private = sealing.load(tmp_path)
    assert (private.open(old), private.open(new)) == (b"old", b"new")


def test_a_newer_key_of_a_domain_follows_and_takes_over_when_the_older_is_let_go(tmp_path: Path) -> None:
    keyring.make(tmp_path)
    first = pseudonym.load(tmp_path).domain("tax")
    assert keyring.rotate(tmp_path, "tax") == "02"
    keys = pseudonym.load(tmp_path)
    newer = keys.newer("tax")
    assert keys.domain("tax")("mst", "1") == first("mst", "1")
    assert newer is not None
    assert newer("mst", "1").startswith("02")
    assert keys.newer("health") is None
    with pytest.raises(Misconfigured, match="holds two keys"):
        keyring.rotate(tmp_path, "tax")
    with pytest.raises(Misconfigured, match="0 days old"):
        keyring.retire(tmp_path, "tax", datetime.now(UTC), 35)
    assert keyring.retire(tmp_path, "tax", datetime.now(UTC) + timedelta(days=36), 35) == "01"
    assert pseudonym.load(tmp_path).domain("tax")("mst", "1") == newer("mst", "1")
    with pytest.raises(Misconfigured, match="one key only"):
        keyring.retire(tmp_path, "tax", NOW, 0)


def test_ioc_keys_tells_ids_and_never_keys_and_lets_a_newer_one_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.make(tmp_path)
    monkeypatch.setenv("IOC_STATE_DIR", str(tmp_path))
    app = typer.Typer()
    doors.register(app)
    said = ""

    def ioc(*words: str) -> Result:
        nonlocal said
        found = CliRunner().invoke(app, ["keys", *words])
        said += found.output
        return found

    assert json.loads(ioc("rotate", "tax", "--json").stdout) == {"domain": "tax", "id": "02"}
    rows = json.loads(ioc("list", "--json").stdout)["rows"]
    assert [(row["domain"], row["id"], row["does"]) for row in rows][:3] == [
        ("tax", "01", "names"),
        ("tax", "02", "takes over"),
        ("health", "01", "names"),
    ]
    assert {row["does"] for row in rows if row["domain"] == "sealing"} == {"seals", "opens"}
    assert isinstance(ioc("retire", "tax").exception, Misconfigured)
    assert json.loads(ioc("retire", "tax", "--early", "--json").stdout) == {"domain": "tax", "gone": "01"}
    for wrong in (("rotate", "taxes"), ("retire", "sealing"), ("retire", "health", "--early")):
        assert isinstance(ioc(*wrong).exception, Misconfigured), wrong
    held = "".join(secrets_of(tmp_path, name).read_text() for name in ("keys.json", "quarantine.json"))
    assert not any(secret in said for secret in re.findall(r"[0-9a-f]{64}", held))
