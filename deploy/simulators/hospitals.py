"""The hospitals as the platform and the banks know them: codes, how busy each is, and each bank's own code for it."""

from itertools import accumulate

CODES = tuple(str(38_000 + number) for number in range(1, 28))
BUSY = tuple(accumulate(1 / (rank % 9 + 2) for rank in range(len(CODES))))
BANKS = ("hdbank", "vnpay", "payos")


def bank_code(bank: str, hospital: str) -> str:
    """HDBank's merchantId is the hospital's code; VNPAY has terminals, payOS accounts."""
    return {"hdbank": hospital, "vnpay": f"BVTH{hospital[2:]}QR", "payos": f"11380{hospital}"}[bank]


def units() -> dict[str, dict[str, str]]:
    """Bank -> its own code -> the hospital's code: what a source's `units` must say."""
    return {bank: {bank_code(bank, hospital): hospital for hospital in CODES} for bank in BANKS}
