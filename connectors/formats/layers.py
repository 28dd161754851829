"""What wraps a document: zip, gzip and base64, one in the other, unwrapped in memory within bounds."""

import base64
import binascii
import io
import re
import zipfile
import zlib

from streams.errors import Reject

MAX_DEPTH = 3
MAX_BYTES = 64 << 20  # of all that comes out of one record
MAX_RATIO = 200  # XML packs 10 to 30 times; bombs start near 1000
RATIO_FROM_BYTES = 4 << 20  # a ratio says nothing of what is small anyway
MAX_ENTRIES = 10_000

_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")  # the second: a zip without a file
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_BASE64 = re.compile(rb"\s*+[A-Za-z0-9+/_-]{16}[A-Za-z0-9+/_\s-]*+={0,2}+\s*+", re.ASCII)
_DOCUMENT = (b"<", b"{", b"[", _GZIP, *_ZIP, b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_CHUNK = 1 << 16


def documents(raw: bytes) -> list[bytes]:
    """The documents in a record; a plain one is itself. Raises Reject: `layers_deep`, `layers_large`, `layers_damaged`, `layers_method`,
    `layers_empty`."""
    if not wrapped(raw):
        return [raw]
    found: list[bytes] = []
    total = 0
    waiting = [(raw, 0)]
    while waiting:
        here, depth = waiting.pop()
        if not wrapped(here):
            found.append(here)
            continue
        if depth == MAX_DEPTH:
            raise Reject("layers_deep", f"the record is wrapped more than {MAX_DEPTH} times (zip, gzip, base64)")
        inner = _unwrapped(here, _most(len(raw)) - total)
        total += sum(map(len, inner))
        waiting += [(piece, depth + 1) for piece in reversed(inner)]
    return found


def wrapped(raw: bytes) -> bool:
    """Whether a record is a zip, a gzip, or base64 text of a document."""
    head = raw[:64].lstrip(_BLANKS)[:1]
    if head in (b"<", b"{", b"["):
        return False
    return raw[:2] == _GZIP or raw[:4] in _ZIP or _out_of_base64(raw[:4096]) is not None


def _most(size: int) -> int:
    """How many bytes may come out of a record of that size, in all layers together."""
    return min(MAX_BYTES, max(RATIO_FROM_BYTES, size * MAX_RATIO))


def _unwrapped(raw: bytes, most: int) -> list[bytes]:
    if raw[:4] in _ZIP:
        return _unzipped(raw, most)
    if raw[:2] == _GZIP:
        return [_gunzipped(raw, most)]
    text = _out_of_base64(raw)
    if text is None:
        raise Reject("layers_damaged", "the base64 text breaks off or holds other letters")
    if len(text) > most:
        raise _too_large()
    return [text]


def _out_of_base64(text: bytes) -> bytes | None:
    """What base64 text (also its URL form, also without its padding) holds, when that begins as a document does or is base64 again; of a text that
    was cut, what is whole. None for any other text."""
    if not _BASE64.fullmatch(text):
        return None
    letters = b"".join(text.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        held = base64.b64decode(letters[: len(letters) // 4 * 4] + _last(letters))
    except (binascii.Error, ValueError):
        return None
    return held if held.lstrip(b" \t\r\n").startswith(_DOCUMENT) or _out_of_base64(held) is not None else None


def _last(letters: bytes) -> bytes:
    left = letters[len(letters) // 4 * 4 :]
    return left + b"=" * (4 - len(left)) if len(left) > 1 else b""


def _gunzipped(raw: bytes, most: int) -> bytes:
    out = bytearray()
    rest = raw
    while rest:  # a gzip may have several members
        inflater = zlib.decompressobj(wbits=31)
        try:
            out += inflater.decompress(rest, most - len(out) + 1)
        except zlib.error:
            raise Reject("layers_damaged", "the gzip is damaged") from None
        if len(out) > most:
            raise _too_large()
        if not inflater.eof:
            raise Reject("layers_damaged", "the gzip breaks off")
        rest = inflater.unused_data.lstrip(b"\0")
    return bytes(out)


def _unzipped(raw: bytes, most: int) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MAX_ENTRIES:
                raise _too_large()
            if not entries:
                raise Reject("layers_empty", "the zip holds no file")
            return _entries(archive, entries, most)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError):
        raise Reject("layers_damaged", "the zip is damaged") from None


def _entries(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], most: int) -> list[bytes]:
    found: list[bytes] = []
    for entry in entries:
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Reject("layers_method", "a file in the zip is encrypted, or packed by another method than deflate")
        with archive.open(entry) as opened:
            held = opened.read(most + 1)  # not what the entry says of itself
        if len(held) > most:
            raise _too_large()
        most -= len(held)
        found.append(held)
    return found


def _too_large() -> Reject:
    return Reject("layers_large", f"the record unpacks to more than {MAX_BYTES} bytes, to suspiciously much, or to too many files")
