"""The hospitals as the platform and the banks know them: codes, how busy each is, and each bank's own code for it."""

from itertools import accumulate

CODES = tuple(str(38_000 + number) for number in range(1, 28))
BUSY = tuple(accumulate(1 / (rank % 9 + 2) for rank in range(len(CODES))))
BANKS = ("hdbank", "vnpay", "payos", "momo", "sepay")
LISTED = ("hdbank", "vnpay", "payos")  # of these there is a signed list; of the others an operator's files


def bank_code(bank: str, hospital: str) -> str:
    """HDBank's merchantId is the hospital's code; VNPAY has terminals, payOS accounts, MoMo partners. SePay has accounts, and one hospital uses its
    gateway."""
    return {
        "hdbank": hospital,
        "vnpay": f"BVTH{hospital[2:]}QR",
        "payos": f"11380{hospital}",
        "momo": f"MOMOTH{hospital[2:]}",
        "sepay": "gateway" if hospital == CODES[0] else f"10380{hospital}",
    }[bank]


def account(hospital: str) -> str:
    """The hospital's account at the bank that gives statements."""
    return f"VN380001{hospital}99"


def units() -> dict[str, dict[str, str]]:
    """Bank -> its own code -> the hospital's code: what a source's `units` must say."""
    named = {bank: {bank_code(bank, hospital): hospital for hospital in CODES} for bank in BANKS}
    return named | {"statements": {account(hospital): hospital for hospital in CODES}}
