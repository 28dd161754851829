"""Names, numbers and words of persons, fed through every door, are nowhere afterwards: no topic, table, log, metric, error or file."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

import httpx
import psycopg
import pytest
from lxml import etree
from psycopg import sql
from structlog.testing import capture_logs

from connectors.intake import intake
from deploy.embedded import timescale
from deploy.embedded.parts import Parts
from deploy.embedded.processes import free_port
from deploy.embedded.topics import create_topics
from deploy.fleet import Fleet
from deploy.settled import Settled
from sinks.migrations import board, migrate, schema
from streams import pseudonym
from streams.brokers import kafka_python_options
from streams.department import NAMES
from streams.settings import Settings, Source
from streams.topics import topic
from tests.eventually import eventually
from tests.format_cases import CASES, Case
from tests.samples import encounter, item, message, signed
from tests.source_server import Question, Reply, SourceServer, serving
from tests.topic import records

LETTERS, DIGITS = "QZWKXJVHPB", "973104826"  # every canary holds one of them, and nothing else on this machine does
PERSON, WORDS = f"NGUYỄN THỊ {LETTERS}", f"đau ngực trái {LETTERS}"
CCCD, PHONE, CARD, MST = f"001{DIGITS}", f"0{DIGITS}", f"GD4010{DIGITS}", f"0{DIGITS}"
SECRET = b"shared-with-the-departments"
BANKS = ("hdbank", "vnpay", "payos")
FIGURES = {"TgTThue", "TgTTTBSo", "TgTCThue", "TgTTToan", "amount", "paidAmount", "transactionAmount", "versionId"}  # a number there is one
FIGURES |= {
    "transferAmount",
    "createdTime",
    "responseTime",
    "Amt",
    "T_TONGCHI_BV",
    "T_TONGCHI",
    "T_BNTT",
    "T_BNCCT",
    "T_BHTT",
    "vnp_Amount",
    "transaction_amount",
    "transaction_date",  # seconds since 1970, as SePay's gateway writes them
    "transactionDate",
    "timestamp",
}


def traces() -> list[bytes]:
    """How a canary may lie in bytes: UTF-8, lower case, UTF-16 of either order, and base64 at any of three places."""
    found = []
    for text in (LETTERS, DIGITS):
        plain = text.encode()
        found += [plain, plain.lower(), text.encode("utf-16-le")[:-1]]
        for before in range(3):
            coded = base64.b64encode(b"\0" * before + plain + b"\0" * 3)
            found.append(coded[-(-8 * before // 6) : 8 * (before + len(plain)) // 6])
    return sorted(set(found))


TRACES = traces()


def holds(data: bytes) -> bytes | None:
    """The first trace in there."""
    return next((trace for trace in TRACES if trace in data), None)


def file_holds(path: Path) -> bytes | None:
    """The same of a file of any size; Kafka's index files are mostly holes, which are passed over."""
    rest = b""
    with path.open("rb") as file:
        while True:
            try:
                begin = os.lseek(file.fileno(), file.tell(), os.SEEK_DATA)
            except OSError:
                return None  # nothing but a hole, or nothing at all, is left
            end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            file.seek(begin)
            chunk = rest + file.read(min(end - begin, 8 << 20))
            if found := holds(chunk):
                return found
            rest = chunk[-64:]


def taking_over(settings: Settings) -> str:
    """The keys of the session while newer ones follow in every domain, so that records tell both names."""
    held = json.loads(pseudonym.path_of(settings.state_dir).read_text())
    newer = {"id": "02", "key": "5e" * 32, "since": "2026-11-01T00:00:00+00:00"}
    return json.dumps(held | {name: [*held[name], newer] for name in pseudonym.DOMAINS})


class Site:
    """A space with everything that runs there, its sources, and all that can be searched afterwards."""

    def __init__(self, settings: Settings, parts: Parts, folder: Path) -> None:
        self.folder = folder
        self.parts = parts
        self.state = settings.state_dir
        self.settings = settings.model_copy(update={"space": f"c{uuid.uuid4().hex[:12]}"})
        create_topics(self.settings, parts.bootstrap)
        migrate(parts.dsn, self.settings)
        self.config = folder / "ioc.toml"
        self.port = free_port()
        told = {"IOC_STATE_DIR": str(settings.state_dir), "IOC_SPACE": self.settings.space, "IOC_CONFIG": str(self.config)}
        self.fleet = Fleet(folder, told | {"SHARED": SECRET.decode(), "IOC_KEYS": taking_over(settings)})
        self.settled = Settled(self.settings, [])
        self.answers: list[str] = []

    def run(self, *arguments: str) -> str:
        """What an `ioc` command says, to people and to programs."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *arguments], env=self.fleet.environment, capture_output=True, text=True, timeout=120
        )
        self.answers.append(done.stdout + done.stderr)
        return done.stdout

    def where(self) -> list[str]:
        """Every place that holds a canary."""
        return [*self._in_topics(), *self._in_tables(), *self._in_words(), *self._in_files()]

    def _in_topics(self) -> Iterator[str]:
        for name in (*NAMES, "rejects", "cursors", "touched"):
            for record in records(self.settings, self.parts.bootstrap, topic(name, self.settings.space)):
                headers = b"".join(key.encode() + (value or b"") for key, value in record.headers)
                if holds((record.key or b"") + (record.value or b"") + headers):
                    yield f"topic {name}"

    def _in_tables(self) -> Iterator[str]:
        with psycopg.connect(self.parts.dsn, autocommit=True) as connection:
            connection.execute("checkpoint")
            tables = connection.execute(
                "select schemaname, tablename from pg_tables where schemaname = any(%s) union all "
                "select schemaname, viewname from pg_views where schemaname = any(%s)",
                [[schema(self.settings.space), board(self.settings.space), "ioc"]] * 2,
            ).fetchall()
            assert len(tables) > 20
            for place in tables:
                query = sql.SQL("copy (select * from {}) to stdout").format(sql.Identifier(*place))
                with connection.cursor() as cursor, cursor.copy(query) as rows:
                    if holds(b"".join(map(bytes, rows))):
                        yield f"table {place}"

    def _in_words(self) -> Iterator[str]:
        told = {log.name: log.read_text() for log in (self.folder / "logs").iterdir()}
        told |= {f"answer {number}": words for number, words in enumerate(self.answers)}
        assert len(told) > 4
        return (f"{name}: {trace!r}" for name, words in told.items() if (trace := holds(words.encode())))

    def _in_files(self) -> Iterator[str]:
        server = timescale.running(self.state)
        assert server is not None
        count = 0
        for folder in (self.state, (self.state / "database").resolve()):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    count += 1
                    if file_holds(path):
                        yield f"file {path}"
        assert count > 500


@pytest.fixture
def site(settings: Settings, parts: Parts, tmp_path: Path) -> Iterator[Site]:
    made = Site(settings, parts, tmp_path)
    yield made
    made.fleet.end()


def planted(number: int) -> bytes:
    """A T-VAN message full of canaries."""
    text = message(number).decode()
    text = text.replace("NGUYEN THI CANARY", PERSON).replace("001087123456", CCCD).replace("0912345678", PHONE)
    text = text.replace(f"01{number % 50:08d}", MST).replace("<MNGui>V0100000001", f"<MNGui>K{MST}")
    return text.replace("<DChi>x", f"<DChi>{WORDS} {CARD}").encode()


def corrupt(good: bytes, number: int) -> bytes:
    """The same, broken in one of many ways, the canary beside the break."""
    ways = [
        good[: good.index(PERSON.encode()) + len(PERSON.encode())],
        good.replace(b"<NLap>2026-11-20", b"<NLap>" + WORDS.encode()),
        good.replace(b"<TgTTTBSo>108", b"<TgTTTBSo>" + PERSON.encode()),
        good.replace(b"</NMua>", b"</" + LETTERS.encode() + b">"),
        good.replace(b"<MLTDiep>200", b"<MLTDiep>" + DIGITS.encode()),
        good.replace(b"<MTDiep>", b"<MTDiep>" + PERSON.encode()),
        b'<!DOCTYPE x [<!ENTITY e "' + PERSON.encode() + b'">]>' + good,
        good.decode().encode("utf-16-le"),
        PERSON.encode() + good,
    ]
    return ways[number % len(ways)]


def session(number: int) -> dict[str, Any]:
    """A telehealth session full of canaries."""
    held: dict[str, Any] = json.loads(encounter(number))
    held["subject"] = {"reference": f"Patient/{CCCD}", "display": PERSON, "identifier": {"value": CARD}}
    held["reasonCode"] = [{"text": WORDS}]
    held["text"] = {"status": "generated", "div": f"<div>{PERSON} {PHONE}</div>"}
    held["meta"]["tag"] = [{"display": PERSON}]
    return held


def paid(number: int) -> dict[str, Any]:
    """A transaction full of canaries."""
    more = {"patientCode": CARD, "patientName": PERSON, "description": f"{WORDS} {PHONE} {CCCD}"}
    return item(number) | {"paidDescription": PERSON, "transactionDescription": f"{WORDS} {PHONE}", "additionalData": more}


def tax_feed(question: Question) -> Reply:
    good = [planted(number) for number in range(200)]
    bad = [corrupt(good[number], number) for number in range(18)]
    first = int(question.params.get("after") or 0)
    items = [{"content": base64.b64encode(raw).decode()} for raw in [*good, *bad][first : first + 100]]
    return Reply({"items": [*items, {"content": f"{PERSON}"}], "next": str(first + 100), "more": first + 100 < 218})


def telehealth(question: Question) -> Reply:
    broken = [session(300) | {"period": {"start": WORDS}}, session(301) | {"status": PERSON}, session(302) | {"id": PERSON}]
    broken.append(session(303) | {"class": {"code": LETTERS, "display": PERSON}, "serviceProvider": {"reference": f"Organization/{MST}"}})
    return Reply({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": s} for s in [*map(session, range(50)), *broken]]})


def bank_list(question: Question) -> Reply:
    broken = [paid(100) | {"paidAmount": PERSON}, paid(101) | {"paidTime": WORDS}, paid(102) | {"status": PHONE}, paid(103) | {LETTERS: 1}]
    data, sign = signed({"page": 1, "pages": 1, "items": [*map(paid, range(50)), *broken]}, SECRET)
    return Reply({"data": data, "sign": sign})


def echo() -> Callable[[Question], Reply]:
    """A feed that answers once, then with pages that echo what persons are called: in bodies, headers, redirects and broken answers."""
    nothing = Reply({"items": [], "next": "1", "more": False})
    ways = itertools.cycle(
        [
            nothing,
            Reply(f"<h1>{PERSON} {PHONE} {CCCD}</h1>".encode(), 500, {"retry-after": "0"}),
            Reply(f"{PERSON} is not JSON".encode(), 200, {"content-type": f"text/{LETTERS}"}),
            nothing,
            Reply({LETTERS: PERSON, "items": PERSON}),
            Reply(b"", 302, {"location": f"http://{LETTERS}.example/{PHONE}?name={LETTERS}"}),
            Reply(PERSON.encode(), 404),
            nothing,
            Reply(f"{WORDS}".encode(), 429, {"retry-after": LETTERS}),
            Reply(f"{PERSON}".encode(), 200, {"content-encoding": LETTERS}),
        ]
    )
    return lambda _: next(ways)


@contextmanager
def sources(site: Site) -> Iterator[SourceServer]:
    """The departments' systems, and their sources in ioc.toml; the one that echoes persons."""
    with ExitStack() as stack:
        *_, echoed = servers = [stack.enter_context(serving(answer)) for answer in (tax_feed, telehealth, bank_list, echo())]
        urls = [server.url for server in servers]
        tables = [
            table("tax-feed", "einvoice", "rest", "tvan", urls[0]),
            table("telehealth", "telehealth", "fhir", "fhir", urls[1]),
            table("list-hdbank", "payment", "query", "hdbank", urls[2]) + 'options = { bank = "hdbank" }\n',
            table("echo", "einvoice", "rest", "tvan", urls[3]) + "interval_seconds = 0.1\n",
            *(table(f"bank-{bank}", "payment", "webhook", bank) for bank in BANKS),
        ]
        site.config.write_text(f"[web]\nport = {site.port}\n" + "".join(tables))
        yield echoed


def table(name: str, department: str, connector: str, form: str, url: str = "") -> str:
    given = {"name": name, "department": department, "connector": connector, "format": form, "credential": "env:SHARED"}
    return "\n[[sources]]\n" + "".join(f'{key} = "{value}"\n' for key, value in (given | ({"url": url} if url else {})).items())


def push(client: httpx.Client) -> list[int]:
    """Notices of the three banks: good, forged, broken, far too large, and to hooks that nobody has."""
    requests: list[httpx.Request] = []
    for secret in (SECRET, b"forged"):
        for content in (paid(200), paid(201) | {"paidAmount": PERSON}, paid(202) | {"merchantId": PERSON}):
            data, sign = signed(content, secret)
            requests += [
                client.build_request("GET", f"/hooks/{to}", params={"data": data, "sign": sign}) for to in ("bank-hdbank", LETTERS)
            ]
        for amount in ("15000000", PERSON):
            requests.append(client.build_request("GET", f"/hooks/bank-vnpay?{vnpay(secret, amount)}"))
            requests.append(client.build_request("POST", "/hooks/bank-payos", json=payos(secret, amount)))
    requests.append(client.build_request("POST", "/hooks/bank-payos", content=f'{{"data": "{PERSON}'.encode()))
    requests.append(client.build_request("POST", "/hooks/bank-payos", content=PERSON.encode() * 10_000))
    requests.append(client.build_request("GET", f"/hooks/bank-hdbank?{LETTERS}={PHONE}"))
    requests.append(client.build_request("GET", f"/hooks/bank-vnpay?vnp_OrderInfo={LETTERS}", headers={"user-agent": LETTERS}))
    requests.append(client.build_request("GET", f"/{LETTERS}?name={PHONE}"))
    answers = [client.send(request) for request in requests]
    assert not any(holds(answer.content) for answer in answers)
    return [answer.status_code for answer in answers]


def vnpay(secret: bytes, amount: str) -> str:
    fields = {"vnp_Amount": amount, "vnp_OrderInfo": f"{PERSON} {PHONE}", "vnp_PayDate": "20261120090000", "vnp_ResponseCode": "00"}
    fields |= {"vnp_TmnCode": MST, "vnp_TransactionNo": "14000001", "vnp_TxnRef": CARD, "vnp_BankCode": "NCB"}
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(fields.items()))
    return urlencode(fields | {"vnp_SecureHash": hmac.new(secret, text.encode(), hashlib.sha512).hexdigest()})


def payos(secret: bytes, amount: str) -> dict[str, object]:
    data = {"orderCode": 1, "amount": int(amount) if amount.isdigit() else amount, "description": f"{PERSON} {WORDS}", "reference": CARD}
    data |= {"accountNumber": MST, "transactionDateTime": "2026-11-20 09:00:00", "counterAccountName": PERSON, "code": "00", "desc": "ok"}
    text = "&".join(f"{name}={data[name]}" for name in sorted(data))
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return {"code": "00", "desc": WORDS, "success": True, "data": data, "signature": signature}


def visited(number: int, own: str) -> bytes:
    """The totals of a visit."""
    who = f"<MA_BN>{PHONE}</MA_BN><HO_TEN>{PERSON}</HO_TEN><SO_CCCD>{CCCD}</SO_CCCD><MA_THE_BHYT>{CARD}</MA_THE_BHYT><GHI_CHU>{WORDS}</GHI_CHU>"
    what = f"<MA_LK>{LETTERS}{number}</MA_LK><NGAY_VAO>202611200730</NGAY_VAO><T_BNTT>{own}</T_BNTT><MA_CSKCB>38001</MA_CSKCB>"
    return f"<TONG_HOP>{what}{who}</TONG_HOP>".encode()


def at_hand(folder: Path) -> dict[str, Path]:
    """Files of the departments, good and broken, under names that are canaries themselves."""
    held = {
        "einvoice": [planted(500), *(corrupt(planted(501), way) for way in range(9))],
        "telehealth": [json.dumps(session(500)).encode(), json.dumps(session(501) | {"status": PERSON}).encode(), f'{{"{PERSON}'.encode()],
        "payment": [json.dumps(paid(500)).encode(), json.dumps(paid(501) | {"paidAmount": PERSON}).encode()],
        "visit": [visited(500, "50000"), visited(501, PERSON), visited(502, "50000")[:-9]],
    }
    for name in NAMES:  # of the others some of the cases, a canary in each of their fields
        held.setdefault(name, [raw for case in CASES if case.department == name for _, raw in islice(mutated(case), 40)][:200])
    for department, documents in held.items():
        (folder / department).mkdir(parents=True)
        for number, raw in enumerate(documents):
            end = "xml" if raw[:1] == b"<" else "json"
            (folder / department / f"{LETTERS} {PHONE} {number}.{end}").write_bytes(raw)
        (folder / department / f"{LETTERS}.zip").write_bytes(b"PK\x03\x04" + PERSON.encode())
    return {department: folder / department for department in held}


def test_rule_12_what_names_a_person_is_nowhere_in_clear_after_it_came_through_every_door_and_was_repaired_and_retried(site: Site) -> None:
    site.folder.joinpath("logs").mkdir()
    with sources(site) as echoed:
        site.fleet.start("worker", "deploy", "work")
        site.fleet.start("wall", "deploy", "serve")
        metrics_port = free_port(avoid=frozenset({site.port}))
        site.fleet.start("tax-feed", "deploy", "-v", "pull", "tax-feed", "--metrics-port", str(metrics_port))
        site.fleet.start("echo", "deploy", "-v", "pull", "echo")
        for name in ("telehealth", "list-hdbank"):
            site.run("-v", "pull", name, "--once", "--json")
        for department, folder in at_hand(site.folder / "files").items():
            site.run("-v", "pull", "files", department, str(folder), "--once", "--json")
        with httpx.Client(base_url=f"http://127.0.0.1:{site.port}", timeout=30) as client:
            eventually(lambda: "the wall is at" in (site.folder / "logs" / "wall.log").read_text(), within_seconds=60)
            statuses = push(client)
            assert {200, 404, 413} <= set(statuses)
            eventually(lambda: everything_arrived(site), within_seconds=60)
            eventually(lambda: len(echoed.asked) > 10, 60)
            assert site.settled.wait(60)
            for url in ("/metrics", "/", f"http://127.0.0.1:{metrics_port}/metrics"):
                site.answers.append(client.get(url).text)
        healed = repaired(site)
        for words in ("ledger", "quarantine list", "quarantine audit", "sources list", "keys list", "figures payment --by unit --json"):
            site.run(*words.split())
    assert healed > 0
    rows = {(row["department"], row["source"]): row for row in site.settled.ledger()["rows"]}
    assert rows["einvoice", "tax-feed"]["on_time"] + rows["einvoice", "tax-feed"]["late"] >= 200
    assert rows["einvoice", "tax-feed"]["quarantined"] >= 9
    assert site.where() == []


def repaired(site: Site) -> int:
    """How many records a repair heals, tried and then done; what it does not heal is retried as it came."""
    file = site.folder / "mend.yaml"
    file.write_text(
        "repair: mend-total\nwhy: a test\nmatch: {cause: number, source: tax-feed}\nsteps:\n  - set: {at: TToan/TgTTTBSo, to: '108'}\n"
    )
    site.run("-v", "quarantine", "fix", str(file), "--dry-run")
    fixed = json.loads(site.run("-v", "quarantine", "fix", str(file), "--json"))
    site.run("-v", "quarantine", "retry")
    held = json.loads(site.run("quarantine", "list", "--json"))["rows"]
    site.run("quarantine", "show", held[0]["id"])
    site.run("quarantine", "drop", "--cause", held[0]["cause"], "--why", "a test", "--yes")
    assert site.settled.wait(60)
    return int(fixed["repairs"][0]["healed"])


def everything_arrived(site: Site) -> bool:
    ledger = site.settled.ledger()
    missing = {"tax-feed", "telehealth", "list-hdbank", *(f"bank-{b}" for b in BANKS), *(f"files-{n}" for n in NAMES)}
    missing -= {row["source"] for row in ledger["rows"]}
    assert not missing, (missing, ledger, site.answers)
    return not missing


def test_the_search_finds_a_canary_in_a_topic_a_table_a_log_and_a_file(site: Site) -> None:
    from kafka import KafkaProducer

    (site.folder / "logs").mkdir()
    for number in range(5):
        (site.folder / "logs" / f"{number}.log").write_text(f"hello {PERSON}" if number == 4 else "hello")
    producer = KafkaProducer(**kafka_python_options(site.settings, site.parts.bootstrap))
    producer.send(topic("touched", site.settings.space), base64.b64encode(f"..{PERSON}".encode())).get(30)
    producer.close()
    file = site.state / "planted.bin"
    file.write_bytes(b"\0" * 5000 + PERSON.encode("utf-16-be"))
    with psycopg.connect(site.parts.dsn, autocommit=True) as connection:
        place = sql.Identifier(schema(site.settings.space), "conflict")
        connection.execute(
            sql.SQL("insert into {} values ('payment', gen_random_uuid(), 1, 'x', now(), {})").format(place, sql.Literal(f"x{PHONE}"))
        )
        found = site.where()
        connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema(site.settings.space))))
    file.unlink()
    for kind in ("topic touched", "table ('" + schema(site.settings.space), "4.log", f"file {file}"):
        assert [place for place in found if place.startswith(kind)], (kind, found)


@pytest.mark.parametrize("name", NAMES)
def test_rule_12_whatever_field_of_a_record_holds_a_canary_no_message_and_no_log_line_does(
    name: str, settings: Settings, parts: Parts
) -> None:
    keys = pseudonym.load(settings.state_dir)
    leaks: dict[str, bytes] = {}
    with capture_logs() as logs:
        for case in (case for case in CASES if case.department == name and "reject" not in case.name):
            read = Source(name="door", department=name, connector="files", format=case.format, options={"bank": "hdbank"})
            door = intake(read, keys)
            for field, raw in mutated(case):
                for record in door.split(raw):
                    for sent in door.take(record, case.arrival):
                        if field not in FIGURES and holds(sent.key + sent.value):
                            leaks[f"{case.name} {field}"] = sent.value[:300]
    assert leaks == {}
    assert not holds(repr(logs).encode())


def mutated(case: Case) -> Iterator[tuple[str, bytes]]:
    """The case's record with each of its fields in turn named, filled or extended with a canary: (field, record)."""
    start = case.raw.lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    if start == b"<" or case.format == "tvan":
        yield from _mutated_xml(case.raw)
    elif start not in (b"{", b"["):
        yield from _mutated_query(case.raw)
    else:
        try:
            held = json.loads(case.raw)
        except ValueError:
            return
        yield from ((field, json.dumps(held).encode()) for field in _mutated_json(held, ""))


def _mutated_query(raw: bytes) -> Iterator[tuple[str, bytes]]:
    pairs = parse_qsl(raw.decode("utf-8", "replace").strip())
    for place, (name, _) in enumerate(pairs):
        for canary in (PERSON, PHONE, DIGITS):
            yield name, urlencode([*pairs[:place], (name, canary), *pairs[place + 1 :]]).encode()


def _mutated_xml(raw: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        root = etree.fromstring(raw)
    except etree.XMLSyntaxError:
        return
    for element in root.iter(etree.Element):
        name, tag, text = etree.QName(element).localname, element.tag, element.text
        for canary in () if len(element) else (LETTERS, PHONE, CCCD, f"K{MST}", f"{text or ''}{PERSON}"):
            element.text = canary
            yield name, etree.tostring(root)
        element.text = text
        for attribute, value in element.attrib.items():
            element.set(attribute, PHONE)
            yield f"{name}@{attribute!s}", etree.tostring(root)
            element.set(attribute, value)
        element.tag = LETTERS
        yield f"<{name}>", etree.tostring(root)
        element.tag = tag


def _mutated_json(held: Any, within: str) -> Iterator[str]:
    """Change the document in place, field by field, and back again after each."""
    for key, value in list(held.items()) if isinstance(held, dict) else list(enumerate(held)) if isinstance(held, list) else []:
        name = str(key) if isinstance(held, dict) else within
        yield from _mutated_json(value, name)
        for canary in (PERSON, PHONE, int(DIGITS), {LETTERS: PERSON}, [CCCD]):
            held[key] = canary
            yield name
        held[key] = value
        if isinstance(held, dict):
            held[LETTERS] = held.pop(key)
            yield f"<{name}>"
            held[key] = held.pop(LETTERS)
