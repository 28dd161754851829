"""The files of keys over time: made, brought up to date, followed by newer ones, let go."""

import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams import pseudonym, sealing, secret_files
from streams.errors import Misconfigured
from streams.pseudonym import DOMAINS, FIRST

SEALING = "sealing"


def make(state_dir: Path) -> None:
    """Fresh keys of door and quarantine where there are none, for a domain that is new too; old ones brought up to date, so that they still name and
    open the same."""
    path = pseudonym.path_of(state_dir)
    if "IOC_KEYS" in os.environ or ("IOC_KEYS_FILE" in os.environ and not path.exists()):
        return  # they are somebody else's to make
    held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if isinstance(held.get(SEALING), dict) and held.keys() >= {*DOMAINS}:
        return
    if not isinstance(held.get(SEALING), dict):
        _seal_with_a_new_pair(state_dir, held)  # the private half first: what nobody could open must not be sealed
    for name in DOMAINS:
        if isinstance(held.get(name), str):  # of before November 2026
            held[name] = [{"id": "", "key": held[name], "since": ""}]
        held.setdefault(name, [_fresh(FIRST)])
    secret_files.write(path, json.dumps(held))


def rotate(state_dir: Path, name: str) -> str:
    """Let a newer key follow, of a domain or of the sealing; its id. A domain's oldest goes on making names until `retire`.

    Raises Misconfigured while the last rotation is not over.
    """
    path, held = _held(state_dir)
    if name == SEALING:
        _seal_with_a_new_pair(state_dir, held)
        secret_files.write(path, json.dumps(held))
        return str(held[SEALING]["id"])
    if len(held[name]) > 1:
        raise Misconfigured(f"the domain {name} holds two keys already", f"finish that rotation with `ioc keys retire {name}` first")
    last = held[name][-1]["id"]
    if last == "ff":
        raise Misconfigured(f"the domain {name} has used all ids of keys", "report this")
    held[name].append(_fresh(f"{int(last or '0', 16) + 1:02x}"))
    secret_files.write(path, json.dumps(held))
    return str(held[name][-1]["id"])


def retire(state_dir: Path, name: str, now: datetime, least_days: int) -> str:
    """Let the older key of a domain go; its id. Raises Misconfigured when there is no newer one, or not for `least_days` yet."""
    path, held = _held(state_dir)
    if len(held[name]) < 2:
        raise Misconfigured(f"the domain {name} holds one key only", f"let a newer one follow first: `ioc keys rotate {name}`")
    days = (now - datetime.fromisoformat(held[name][1]["since"])).days
    if days < least_days:
        raise Misconfigured(
            f"the newer key of {name} is {days} days old, fewer than {least_days}",
            "whoever was not met meanwhile would count as somebody new; wait, or say --early",
        )
    gone = held[name].pop(0)
    secret_files.write(path, json.dumps(held))
    return str(gone["id"])


def _held(state_dir: Path) -> tuple[Path, dict[str, Any]]:
    path = pseudonym.path_of(state_dir)
    pseudonym.load(state_dir)  # says what is wrong with it
    if not path.exists():
        raise Misconfigured("the keys are in the variable IOC_KEYS, which cannot be written", "keep them in a file: IOC_KEYS_FILE")
    held: dict[str, Any] = json.loads(secret_files.read(path))
    return path, held


def _seal_with_a_new_pair(state_dir: Path, held: dict[str, Any]) -> None:
    """Add a private key to those of the quarantine, where they are, and its public half to `held`; the older ones go on opening."""
    path = sealing.path_of(state_dir)
    private: dict[str, Any] = json.loads(secret_files.read(path)) if path.exists() else {"keys": {}, "fernet": []}
    if isinstance(held.get(SEALING), str):
        private["fernet"].append(held[SEALING])
    public, key = sealing.pair()
    private["keys"][public.id] = key.hex()
    secret_files.write(path, json.dumps(private))
    held[SEALING] = {"id": public.id, "public": public.key.hex()}


def _fresh(id: str) -> dict[str, str]:
    return {"id": id, "key": secrets.token_hex(32), "since": datetime.now(UTC).isoformat(timespec="seconds")}
