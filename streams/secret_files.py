"""Files of keys: read only when nobody else may, written whole or not at all."""

import os
from pathlib import Path

from streams.errors import Misconfigured


def read(path: Path) -> str:
    """The text of a file of mode 600 or less. Raises Misconfigured when others may read it, OSError when it cannot be read."""
    with path.open(encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise Misconfigured(
                f"{path} can be read by others than its owner", f"run `chmod 600 {path}`, and rotate the keys if others did"
            )
        return file.read()


def write(path: Path, text: str) -> None:
    """Write the file with mode 600. When it returns, the text is on the disk; before, the old one is."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
