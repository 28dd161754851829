"""How fast wire formats read: distinct records as departments send them, with validation, signatures of notices, pseudonyms and encoding."""

import base64
import hashlib
import hmac
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus

import orjson

from connectors.formats import Arrival, load
from streams.event import encode, micros, moment
from streams.pseudonym import Pseudonyms
from tests.bench.figures import Figure, median

KNOWN_AT_US = micros(moment(1_794_884_400_000_000))  # 17 Nov 2026, 10:00 in Viet Nam
SECRET = b"a secret of the bench"
MOMO = b"ACCESS:a secret of the bench"
Records = Iterator[tuple[bytes, int]]
"""Raw records, each with how many of what is counted are in it."""


@dataclass(frozen=True)
class Part:
    """What is measured of one format. unit: what is counted. bar: how many a second of CPU."""

    figure: str
    unit: str
    format: str
    records: Callable[[random.Random, int], Records]
    total: int
    bar: float | None = None
    secret: bytes | None = None


def measure(runs: int) -> list[Figure]:
    """A figure for each part: how many a second of one process's own CPU, so that a busy machine changes it little."""
    return [median(part.figure, part.unit, [_rate(part, run) for run in range(runs)], at_least=part.bar) for part in PARTS]


def _rate(part: Part, seed: int) -> float:
    records = [*part.records(random.Random(f"{part.figure} {seed}"), part.total)]
    reader = load(part.format)
    arrival = Arrival("bench", KNOWN_AT_US, Pseudonyms(bytes(range(32))), {"BV1": "38280"}, part.secret, trusted=True)
    bodies, events = set[str](), 0
    began = time.process_time()
    for raw, _ in records:
        for record in reader.split(raw):
            for event in reader.parse(record, arrival):
                encode(event)
                bodies.add(event.body)
                events += 1
    spent = time.process_time() - began
    assert len(bodies) == events >= len(records), "the records were to be distinct, and each to tell something"
    return sum(count for _, count in records) / spent


def _invoices(chance: random.Random, total: int) -> Records:
    """Sizes as in real traffic (medians of 5.5 kB for a 200, 9.7 kB for a 202): of ten invoices four go in a 200, four come back in a 202,
    two lie in a package 206 of four."""
    made = 0
    while made < total:
        kind = chance.choices(("200", "202", "206"), (8, 8, 1))[0]
        count = 4 if kind == "206" else 1
        yield _message(chance, kind, "".join(_hdon(chance, kind) for _ in range(count)), count).encode(), count
        made += count


def _message(chance: random.Random, kind: str, documents: str, count: int) -> str:
    package = f"<CKSNNT>{_signature(chance, 'p1')}</CKSNNT>" if kind == "206" else ""
    question = f"V0100000008{chance.getrandbits(128):032X}" if kind == "202" else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><TDiep><TTChung><PBan>2.1.0</PBan><MNGui>V0100000008</MNGui><MNNhan>TCT</MNNhan>'
        f"<MLTDiep>{kind}</MLTDiep><MTDiep>V0100000008{chance.getrandbits(128):032X}</MTDiep><MTDTChieu>{question}</MTDTChieu>"
        f'<MST>3800000011</MST><SLuong>{count}</SLuong></TTChung><DLieu Id="p1">{documents}</DLieu>{package}</TDiep>'
    )


def _hdon(chance: random.Random, kind: str) -> str:
    goods, number = chance.randrange(20_000, 90_000_000), chance.randrange(1, 10**7)
    tax = goods * 8 // 100
    lines = "".join(
        f"<HHDVu><TChat>1</TChat><STT>{n}</STT><MHHDVu>VT{chance.randrange(9999)}</MHHDVu><THHDVu>Vật tư ví dụ số {n} loại {chance.randrange(99)}</THHDVu>"
        f"<DVTinh>Cái</DVTinh><SLuong>{n}</SLuong><DGia>{goods // n}.000000</DGia><TLCKhau>0</TLCKhau><STCKhau>0</STCKhau><ThTien>{goods}</ThTien>"
        "<TSuat>8%</TSuat><TTKhac><TTin><TTruong>TienThue</TTruong><KDLieu>numeric</KDLieu><DLieu>0</DLieu></TTin></TTKhac></HHDVu>"
        for n in range(1, chance.randint(2, 4))
    )
    written = {"202": f"00{chance.getrandbits(128):032X}", "206": f"M1-26-A1B2C-{number:011d}"}.get(kind)
    code = f'<MCCQT Id="m1">{written}</MCCQT>' if written else ""
    office = f"<CQT>{_signature(chance, 'c1')}</CQT>" if kind == "202" else ""
    own = "<NBan/>" if kind == "206" else f"<NBan>{_signature(chance, 's1')}</NBan>"
    return (
        f'<HDon><DLHDon Id="d{number}"><TTChung><PBan>2.1.0</PBan><THDon>Hóa đơn giá trị gia tăng</THDon><KHMSHDon>1</KHMSHDon>'
        f"<KHHDon>C26TAA</KHHDon><SHDon>{number}</SHDon><NLap>2026-11-17</NLap><DVTTe>VND</DVTTe><TGia>1</TGia><HTTToan>TM/CK</HTTToan>"
        "<MSTTCGP>0100000008</MSTTCGP><TTKhac/></TTChung><NDHDon><NBan><Ten>Công ty Ví Dụ</Ten><MST>3800000011</MST><DChi>Xã Ví Dụ, Thanh Hóa</DChi>"
        "<SDThoai>0370000000</SDThoai><STKNHang>000</STKNHang></NBan><NMua><Ten>Công ty Mua Ví Dụ</Ten><MST>3800000029</MST><DChi>Xã Ví Dụ</DChi>"
        f"<HVTNMHang>Người Mua Ví Dụ</HVTNMHang></NMua><DSHHDVu>{lines}</DSHHDVu><TToan><THTTLTSuat><LTSuat><TSuat>8%</TSuat><ThTien>{goods}</ThTien>"
        f"<TThue>{tax}</TThue></LTSuat></THTTLTSuat><TgTCThue>{goods}</TgTCThue><TgTThue>{tax}</TgTThue><TTCKTMai>0</TTCKTMai>"
        f"<TgTTTBSo>{goods + tax}.000000</TgTTTBSo><TgTTTBChu>Một số tiền ví dụ</TgTTTBChu></TToan></NDHDon></DLHDon>"
        f"{code}<DSCKS>{own}{office}</DSCKS></HDon>"
    )


def _signature(chance: random.Random, name: str) -> str:
    def blob(size: int) -> str:
        return base64.b64encode(chance.randbytes(size)).decode()

    method = 'Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"'
    digest = f'<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>{blob(32)}</DigestValue>'
    return (
        f'<Signature Id="{name}" xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>'
        '<CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
        '<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>'
        f'<Reference URI="#d1"><Transforms><Transform {method}/></Transforms>{digest}</Reference><Reference URI="#o-{name}">{digest}</Reference>'
        f"</SignedInfo><SignatureValue>{blob(256)}</SignatureValue><KeyInfo><X509Data><X509SubjectName>CN=Công ty Ví Dụ, L=Thanh Hóa, C=VN"
        f'</X509SubjectName><X509Certificate>{blob(1100)}</X509Certificate></X509Data></KeyInfo><Object Id="o-{name}"><SignatureProperties>'
        f'<SignatureProperty Target="#{name}"><SigningTime>2026-11-17T09:{chance.randrange(60):02d}:{chance.randrange(60):02d}</SigningTime>'
        "</SignatureProperty></SignatureProperties></Object></Signature>"
    )


def _encounters(chance: random.Random, total: int) -> Records:
    """Finished sessions as an R4 server writes them, with the patient, doctors and narrative that are dropped."""
    for number in range(total):
        begins = f"2026-11-17T{chance.randrange(7, 9):02d}:{chance.randrange(60):02d}:00+07:00"
        yield orjson.dumps({
            "resourceType": "Encounter", "id": f"vr-{number}-{chance.getrandbits(32):x}",
            "meta": {"versionId": str(chance.randint(1, 9)), "lastUpdated": "2026-11-17T09:41:00.250+07:00", "source": f"#{chance.getrandbits(64):x}"},
            "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Người Bệnh Ví Dụ, hội chẩn từ xa</div>'},
            "identifier": [{"system": "https://example.vn/phien", "value": f"P{number}"}], "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR", "display": "virtual"},
            "type": [{"coding": [{"system": "http://snomed.info/sct", "code": "448337001"}]}],
            "subject": {"reference": f"Patient/{chance.randrange(10**6)}", "display": "Người Bệnh Ví Dụ"},
            "participant": [{"individual": {"reference": f"Practitioner/{chance.randrange(999)}", "display": "Bác Sĩ Ví Dụ"}}] * 2,
            "period": {"start": begins, "end": "2026-11-17T09:40:00+07:00"}, "reasonCode": [{"text": "Tái khám"}],
            "serviceProvider": {"reference": f"Organization/38{chance.randint(1, 27):03d}"},
        }), 1  # fmt: skip


def _heartbeats(chance: random.Random, total: int) -> Records:
    for number in range(total):
        yield orjson.dumps({
            "session": f"vc-{number // 150}", "site": f"38{chance.randint(1, 27):03d}", "endpoint": "phong-hop", "peer": "01901",
            "measured_at": f"2026-11-17T0{chance.randrange(7, 9)}:{chance.randrange(60):02d}:{number % 6}0+07:00",
            "in_kbps": round(max(0.0, chance.gauss(6000, 1500)), 1), "in_loss_percent": round(chance.uniform(0, 3), 2),
            "out_kbps": round(max(0.0, chance.gauss(6000, 1000)), 1), "out_loss_percent": round(chance.uniform(0, 3), 2), "rtt_ms": chance.randrange(20, 80),
        }), 1  # fmt: skip


def _hdbank(chance: random.Random, total: int) -> Records:
    for number in range(total):
        amount = f"{chance.randrange(50_000, 9_000_000)}.00"
        item = {
            "merchantId": "38280", "invoiceId": f"HD{number}", "type": "vietqr", "transactionAmount": amount, "transactionId": f"FT{number:09d}",
            "status": "00", "paidAmount": amount, "paidTime": "20261117020000", "transactionTime": "20261117015900",
            "transactionDescription": "TT vien phi", "paidDescription": "NGUOI BENH VI DU",
            "additionalData": {"serviceCode": "KHAM", "patientCode": f"BN{number}", "patientName": "NGUOI BENH VI DU", "description": "0900000000"},
        }  # fmt: skip
        data = base64.b64encode(orjson.dumps(item)).decode()
        yield f"data={quote_plus(data)}&sign={hmac.new(SECRET, data.encode(), hashlib.sha256).hexdigest()}".encode(), 1


def _vnpay(chance: random.Random, total: int) -> Records:
    for number in range(total):
        text = (
            f"vnp_Amount={chance.randrange(50_000, 9_000_000)}00&vnp_BankCode=NCB&vnp_BankTranNo=VNP{number}&vnp_CardType=ATM&vnp_OrderInfo=NGUOI+BENH"
            f"+VI+DU&vnp_PayDate=20261117090000&vnp_ResponseCode=00&vnp_TmnCode=BV1&vnp_TransactionNo={14_000_000 + number}&vnp_TransactionStatus=00"
            f"&vnp_TxnRef=HD{number}"
        )
        yield f"{text}&vnp_SecureHash={hmac.new(SECRET, text.encode(), hashlib.sha512).hexdigest()}".encode(), 1


def _payos(chance: random.Random, total: int) -> Records:
    for number in range(total):
        data = {
            "accountNumber": "BV1", "amount": chance.randrange(50_000, 9_000_000), "code": "00", "counterAccountBankId": "", "counterAccountName": None,
            "currency": "VND", "desc": "success", "description": "NGUOI BENH VI DU", "orderCode": number, "paymentLinkId": f"{chance.getrandbits(64):x}",
            "reference": f"FT{number}", "transactionDateTime": "2026-11-17 09:00:00", "virtualAccountName": "", "virtualAccountNumber": "",
        }  # fmt: skip
        text = "&".join(f"{name}={'' if value is None else value}" for name, value in sorted(data.items()))
        signature = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
        yield orjson.dumps({"code": "00", "desc": "success", "success": True, "data": data, "signature": signature}), 1


def _momo(chance: random.Random, total: int) -> Records:
    access, secret = MOMO.decode().split(":")
    for number in range(total):
        said = {
            "partnerCode": "BV1", "orderId": f"HD{number}", "requestId": f"r-{number}", "amount": chance.randrange(50_000, 9_000_000),
            "orderInfo": "NGUOI BENH VI DU vien phi", "orderType": "momo_wallet", "transId": 4_088_000_000 + number, "resultCode": 0,
            "message": "Successful.", "payType": "qr", "responseTime": 1_794_880_800_000, "extraData": "",
        }  # fmt: skip
        text = "&".join(f"{name}={value}" for name, value in sorted((said | {"accessKey": access}).items()))
        yield orjson.dumps(said | {"signature": hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}), 1


def _sepay(chance: random.Random, total: int) -> Records:
    for number in range(total):
        yield orjson.dumps({
            "id": 92_704 + number, "gateway": "Vietcombank", "transactionDate": "2026-11-17 09:00:00", "accountNumber": "BV1", "code": None,
            "content": "NGUOI BENH VI DU vien phi", "transferType": "in", "transferAmount": chance.randrange(50_000, 9_000_000),
            "accumulated": 19_077_000, "subAccount": None, "referenceCode": f"MBVCB.{number}", "description": "0900000000",
        }), 1  # fmt: skip


def _camt(chance: random.Random, total: int) -> Records:
    """Statements of a hundred entries."""
    for first in range(0, total, 100):
        entries = "".join(
            f'<Ntry><NtryRef>{number}</NtryRef><Amt Ccy="VND">{chance.randrange(50_000, 9_000_000)}.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
            f"<BookgDt><Dt>2026-11-16</Dt></BookgDt><ValDt><Dt>2026-11-16</Dt></ValDt><AcctSvcrRef>FT{number:09d}</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd>"
            "<Fmly><Cd>RCDT</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>"
            "<RltdPties><Dbtr><Nm>NGUOI BENH VI DU</Nm></Dbtr></RltdPties><RmtInf><Ustrd>TT vien phi</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
            for number in range(first, first + 100)
        )
        yield (
            (
                '<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr>'
                f"<MsgId>M{first}</MsgId><CreDtTm>2026-11-17T06:00:00</CreDtTm></GrpHdr><Stmt><Id>S{first}</Id><CreDtTm>2026-11-17T06:00:00</CreDtTm>"
                "<Acct><Id><Othr><Id>BV1</Id></Othr></Id><Ccy>VND</Ccy><Svcr><FinInstnId><BICFI>HDBCVNVX</BICFI></FinInstnId></Svcr></Acct>"
                f"{entries}</Stmt></BkToCstmrStmt></Document>"
            ).encode(),
            100,
        )


def _totals(chance: random.Random, total: int) -> Records:
    """XML1 in its envelope, base64."""
    for number in range(total):
        own, shared, insurance = (1000 * chance.randrange(900) for _ in range(3))
        inner = (
            f"<TONG_HOP><MA_LK>LK{number}</MA_LK><STT>1</STT><MA_BN>BN{number}</MA_BN><HO_TEN>Người Bệnh Ví Dụ</HO_TEN><SO_CCCD>038000000000</SO_CCCD>"
            "<NGAY_SINH>198001010000</NGAY_SINH><DIA_CHI>Xã Ví Dụ</DIA_CHI><DIEN_THOAI>0900000000</DIEN_THOAI><MA_THE_BHYT>GD4380000000000</MA_THE_BHYT>"
            "<MA_DOITUONG_KCB>1.1</MA_DOITUONG_KCB><NGAY_VAO>202611170730</NGAY_VAO><MA_LOAI_KCB>01</MA_LOAI_KCB><MA_CSKCB>38280</MA_CSKCB>"
            "<MA_BENH_CHINH>J00</MA_BENH_CHINH><T_NGUONKHAC>0</T_NGUONKHAC><NGAY_TTOAN>202611170900</NGAY_TTOAN>"
            f"<T_TONGCHI_BV>{own + shared + insurance}</T_TONGCHI_BV><T_BNTT>{own}</T_BNTT><T_BNCCT>{shared}</T_BNCCT><T_BHTT>{insurance}</T_BHTT></TONG_HOP>"
        )
        file = f"<FILEHOSO><LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>{base64.b64encode(inner.encode()).decode()}</NOIDUNGFILE></FILEHOSO>"
        yield (
            (
                '<?xml version="1.0" encoding="utf-8"?><GIAMDINHHS><THONGTINDONVI><MACSKCB>38280</MACSKCB></THONGTINDONVI><THONGTINHOSO><NGAYLAP>20261117</NGAYLAP>'
                f"<SOLUONGHOSO>1</SOLUONGHOSO><DANHSACHHOSO><HOSO>{file}</HOSO></DANHSACHHOSO></THONGTINHOSO><CHUKYDONVI/></GIAMDINHHS>"
            ).encode(),
            1,
        )


PARTS = (
    Part("parsers: T-VAN", "invoices/s", "tvan", _invoices, 6_000, 3_000),
    Part("parsers: FHIR R4", "Encounters/s", "fhir", _encounters, 12_000, 8_000),
    Part("parsers: heartbeats", "heartbeats/s", "telequality", _heartbeats, 20_000, 10_000),
    Part("parsers: HDBank notices", "notices/s", "hdbank", _hdbank, 40_000, 30_000, SECRET),
    Part("parsers: VNPAY notices", "notices/s", "vnpay", _vnpay, 40_000, 30_000, SECRET),
    Part("parsers: payOS notices", "notices/s", "payos", _payos, 40_000, 30_000, SECRET),
    Part("parsers: MoMo notices", "notices/s", "momo", _momo, 40_000, 30_000, MOMO),
    Part("parsers: SePay notices", "notices/s", "sepay", _sepay, 40_000, 30_000),
    Part("parsers: camt statements", "entries/s", "camt", _camt, 10_000),
    Part("parsers: health-insurance files", "visits/s", "bhyt", _totals, 10_000),
)
