"""Tax codes (mã số thuế, MST): one spelling, their kinds, and the check digit of Circular 105/2020."""

_KINDS = {10: "enterprise", 13: "branch", 12: "person", 7: "budget_unit"}
_WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)


def normal(mst: str) -> str:
    """The code in its one spelling: no surrounding space, no dash (`0107001729-001` is `0107001729001`)."""
    return mst.strip().replace("-", "")


def kind(mst: str) -> str:
    """What has such a normalised code: `enterprise` (10 digits), `branch` (13), `person` (12: a personal identification number), `budget_unit`
    (7: MDVQHNSach); else `other`."""
    return _KINDS.get(len(mst), "other") if mst.isascii() and mst.isdecimal() else "other"


def plausible(mst: str) -> bool:
    """Whether a normalised code can have been issued.

    10 digits with their check digit; 13 = parent and branch 001..999; 12 = a personal identification number, which has no check
    digit. A remainder of 0 asks for the check digit 10: such a number was never issued (Circular 105/2020, annex 1).
    """
    if not (mst.isascii() and mst.isdecimal()):
        return False
    if len(mst) == 12:
        return True
    if (len(mst) == 13 and mst[10:] == "000") or len(mst) not in (10, 13):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(mst, _WEIGHTS, strict=False))
    return 10 - total % 11 == int(mst[9])
