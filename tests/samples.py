"""Made-up records of each department, for tests that only need good ones."""

import base64
import hashlib
import hmac
import json

CANARIES = ("NGUYEN THI CANARY", "001087123456", "0912345678", "GD4010123456789")


def message(number: int) -> bytes:
    """A T-VAN message 200 with one invoice; its MTDiep and SHDon follow from `number`."""
    unique = hashlib.sha256(b"%d" % number).hexdigest()[:32].upper()
    mst = f"01{number % 50:08d}"
    return (
        "<TDiep><TTChung><PBan>2.1.0</PBan><MNGui>V0100000001</MNGui><MNNhan>TCT</MNNhan><MLTDiep>200</MLTDiep>"
        f"<MTDiep>V0100000001{unique}</MTDiep><MTDTChieu/><MST>{mst}</MST><SLuong>1</SLuong></TTChung><DLieu>"
        '<HDon><DLHDon Id="d1"><TTChung><PBan>2.1.0</PBan><KHMSHDon>1</KHMSHDon><KHHDon>C26TAA</KHHDon>'
        f"<SHDon>{number}</SHDon><NLap>2026-11-20</NLap><DVTTe>VND</DVTTe></TTChung>"
        f"<NDHDon><NBan><Ten>A</Ten><MST>{mst}</MST><DChi>x</DChi></NBan>"
        f"<NMua><Ten>{CANARIES[0]}</Ten><CCCDan>{CANARIES[1]}</CCCDan><SDThoai>{CANARIES[2]}</SDThoai></NMua>"
        "<TToan><TgTCThue>100</TgTCThue><TgTThue>8</TgTThue><TgTTTBSo>108</TgTTTBSo><TgTTTBChu>x</TgTTTBChu></TToan>"
        "</NDHDon></DLHDon><DSCKS><NBan/></DSCKS></HDon></DLieu></TDiep>"
    ).encode()


def encounter(number: int, updated: str = "2026-11-20T09:00:00+07:00") -> bytes:
    """A telehealth session that was finished."""
    return json.dumps(
        {
            "resourceType": "Encounter",
            "id": f"enc-{number}",
            "meta": {"versionId": "1", "lastUpdated": updated},
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
            "subject": {"reference": "Patient/1", "display": CANARIES[0]},
            "period": {"start": "2026-11-20T08:00:00+07:00", "end": "2026-11-20T08:30:00+07:00"},
            "serviceProvider": {"reference": "Organization/38001"},
        }
    ).encode()


def item(number: int, status: str = "00", amount: str = "150000.00") -> dict[str, object]:
    """A transaction as the HDBank contract names it."""
    return {
        "merchantId": "38001",
        "invoiceId": f"HD{number}",
        "type": "vietqr",
        "transactionAmount": amount,
        "transactionId": f"FT{number}",
        "status": status,
        "paidAmount": amount,
        "paidTime": "20261120020000",
        "transactionTime": "20261120015900",
        "transactionDescription": "TT vien phi",
        "paidDescription": CANARIES[0],
        "additionalData": {"patientCode": CANARIES[3], "patientName": CANARIES[0], "description": CANARIES[2]},
    }


def signed(content: object, secret: bytes) -> tuple[str, str]:
    """`data` and `sign` of the HDBank contract."""
    data = base64.b64encode(json.dumps(content).encode()).decode()
    return data, hmac.new(secret, data.encode(), hashlib.sha256).hexdigest()
