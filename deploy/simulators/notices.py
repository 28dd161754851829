"""Paid notices as each bank writes and signs them, the items of the signed list, and how a reply is read."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import orjson

from deploy.simulators.clock import SECOND_US, VIETNAM_US, digits, stamp
from deploy.simulators.hospitals import bank_code
from deploy.simulators.payments import Status

MOMO_ACCESS = "THANHHOA"  # MoMo's access key; the secret one is the banks'
MOMO_CODES = {"00": 0, "01": 1006, "99": 7000}


@dataclass(frozen=True, slots=True)
class Notice:
    """One HTTP request to the hospital's side: `query` for a GET, `body` for a POST."""

    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, bytes] = field(default_factory=lambda: {"Content-Type": b"application/json"})


def item(status: Status) -> dict[str, object]:
    """A transaction as the HDBank contract names it (domain.md 3), with the bank's own code of the hospital. Times UTC."""
    return {
        "merchantId": bank_code(status.bank, status.hospital),
        "invoiceId": f"HD{status.transaction}",
        "type": "vietqr",
        "transactionAmount": f"{status.amount}.00",
        "transactionId": status.transaction,
        "status": status.status,
        "paidAmount": "mười nghìn" if status.twist == "number" else f"{status.paid}.00",
        "paidTime": None if status.paid_us is None else digits(status.paid_us),
        "transactionTime": digits(status.made_us),
        "transactionDescription": f"TT vien phi {status.transaction}",
        "paidDescription": f"{status.patient.name} thanh toan",
        "additionalData": {
            "serviceCode": status.service,
            "patientCode": f"BN{status.patient.card[-8:]}",
            "patientName": status.patient.name,
            "description": f"{status.patient.name} {status.patient.phone}",
        },
    }


def notice(status: Status, secret: bytes) -> Notice:
    """The notice of that status. A twist `number` signs a text in place of the amount; `signature` signs with another key."""
    key = secret[::-1] + b"?" if status.twist == "signature" else secret
    return {"hdbank": _hdbank, "vnpay": _vnpay, "payos": _payos, "momo": _momo, "sepay": _sepay}[status.bank](status, key)


def confirmed(bank: str, code: int, body: bytes) -> bool:
    """Whether the reply says that the notice was taken. MoMo wants a bare 204. A hospital hears with 201 that its file was taken and cannot be read."""
    if not 200 <= code < 300 or bank == "momo":
        return code == 204
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    match bank:
        case "hdbank":
            return bool(said.get("code") == "00")
        case "hospitals":
            return said.get("trangThai") in (1, 2)
        case "vnpay":
            return said.get("RspCode") in ("00", "02")
    return said.get("success") is True


def sign(text: str, secret: bytes) -> str:
    """HMAC-SHA256 in hex: HDBank's `sign` over its base64 text, and payOS's over key=value."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def sealed(content: object, secret: bytes) -> dict[str, str]:
    """`{data, sign}` of the HDBank contract."""
    data = base64.b64encode(orjson.dumps(content)).decode()
    return {"data": data, "sign": sign(data, secret)}


def _hdbank(status: Status, secret: bytes) -> Notice:
    return Notice("/hooks/bank-hdbank", urlencode(sealed(item(status), secret)))


def _vnpay(status: Status, secret: bytes) -> Notice:
    paid = status.status in ("00", "refund")
    fields = {
        "vnp_Amount": "mười nghìn" if status.twist == "number" else str(100 * (status.paid or status.amount)),
        "vnp_BankCode": "NCB",
        "vnp_OrderInfo": f"{status.patient.name} vien phi {status.service}",
        "vnp_PayDate": digits((status.paid_us or status.made_us) + VIETNAM_US),
        "vnp_ResponseCode": "00" if paid else "24",
        "vnp_TmnCode": bank_code("vnpay", status.hospital),
        "vnp_TransactionNo": status.transaction,
        "vnp_TransactionStatus": "00" if paid else "02",
        "vnp_TransactionType": "01" if status.origin is None else "02" if status.paid == status.origin.paid else "03",
        "vnp_TxnRef": f"HD{status.transaction}",
    }
    text = "&".join(f"{name}={quote_plus(value)}" for name, value in sorted(fields.items()))
    return Notice("/hooks/bank-vnpay", f"{text}&vnp_SecureHash={hmac.new(secret, text.encode(), hashlib.sha512).hexdigest()}")


def _payos(status: Status, secret: bytes) -> Notice:
    data: dict[str, object] = {
        "orderCode": int(status.transaction),
        "amount": "mười nghìn" if status.twist == "number" else status.paid,
        "description": f"{status.patient.name} {status.service}",
        "accountNumber": bank_code("payos", status.hospital),
        "reference": status.transaction,
        "transactionDateTime": stamp(status.paid_us or status.made_us).replace("T", " "),
        "currency": "VND",
        "paymentLinkId": f"{int(status.transaction):032x}",
        "code": "00",
        "desc": "success",
        "counterAccountName": status.patient.name,
        "counterAccountNumber": f"0{status.patient.cccd[3:]}",
    }
    text = "&".join(f"{name}={data[name]}" for name in sorted(data))
    body = {"code": "00", "desc": "success", "success": True, "data": data, "signature": sign(text, secret)}
    return Notice("/hooks/bank-payos", body=orjson.dumps(body))


def momo_answer(status: Status) -> dict[str, object]:
    """What MoMo says of a transaction when it is asked, with what was given back. Times in milliseconds."""
    paid = status.origin or status
    answer: dict[str, object] = {
        "partnerCode": bank_code("momo", paid.hospital),
        "orderId": f"HD{paid.transaction}",
        "requestId": f"Q{paid.transaction}",
        "extraData": "",
        "amount": "mười nghìn" if status.twist == "number" else paid.paid or paid.amount,
        "transId": int(paid.transaction),
        "payType": "qr",
        "resultCode": MOMO_CODES[paid.status],
        "message": f"{paid.patient.name} {paid.service}",
        "responseTime": (paid.paid_us or paid.made_us) // 1000,
    }
    if status.origin is None:
        return answer
    given_back = {"orderId": f"RF{paid.transaction}", "amount": status.paid, "resultCode": 0, "transId": int(paid.transaction)}
    return answer | {"refundTrans": [given_back | {"createdTime": (status.paid_us or 0) // 1000}]}


def sepay_notice(status: Status) -> dict[str, object]:
    """SePay's notice of money that came to an account; of the one hospital at its gateway, of an order that was paid or voided."""
    amount: object = "mười nghìn" if status.twist == "number" else status.paid
    at = stamp((status.origin or status).paid_us or status.made_us).replace("T", " ")
    code = bank_code("sepay", status.hospital)
    if code == "gateway":
        return {
            "timestamp": (status.paid_us or 0) // SECOND_US,
            "notification_type": "ORDER_PAID" if status.origin is None else "TRANSACTION_VOID",
            "order": {"order_status": "CAPTURED", "order_currency": "VND", "order_description": f"{status.patient.name} {status.service}"},
            "transaction": {
                "transaction_id": status.transaction,
                "transaction_type": "PAYMENT",
                "transaction_date": at,
                "transaction_status": "APPROVED",
                "transaction_amount": str(amount),
                "transaction_currency": "VND",
                "card_holder_name": status.patient.name,
            },
        }
    return {
        "id": int(status.transaction),
        "gateway": "Vietcombank",
        "transactionDate": at,
        "accountNumber": code,
        "subAccount": None,
        "code": f"HD{status.transaction}",
        "content": f"{status.patient.name} vien phi {status.service}",
        "transferType": "in",
        "transferAmount": amount,
        "referenceCode": f"FT{status.transaction}",
    }


def _momo(status: Status, secret: bytes) -> Notice:
    said = momo_answer(status) | {"orderInfo": f"{status.patient.name} vien phi", "orderType": "momo_wallet"}
    names = sorted({*said, "accessKey"})
    text = "&".join(f"{name}={MOMO_ACCESS if name == 'accessKey' else said[name]}" for name in names)
    return Notice("/hooks/bank-momo", body=orjson.dumps(said | {"signature": sign(text, secret)}))


def _sepay(status: Status, secret: bytes) -> Notice:
    """The accounts show SePay's API key, the gateway its secret key in a header of its own."""
    is_gateway = bank_code("sepay", status.hospital) == "gateway"
    shown = {"X-Secret-Key": secret} if is_gateway else {"Authorization": b"Apikey " + secret}
    return Notice("/hooks/bank-sepay", body=orjson.dumps(sepay_notice(status)), headers=shown | {"Content-Type": b"application/json"})
