"""The three errors that may cross a boundary: Misconfigured, Retry, Reject."""


class IocError(Exception):
    """What is wrong, in one sentence, and what to do about it in another (`mend`)."""

    def __init__(self, wrong: str, mend: str = "") -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.mend = mend


class Misconfigured(IocError):
    """The configuration cannot work: stop now (exit 2)."""


class Retry(IocError):
    """A part cannot be reached or is busy: try again later (exit 3 when a command gives up)."""

    def __init__(self, wrong: str, mend: str = "", after_seconds: float | None = None) -> None:
        super().__init__(wrong, mend)
        self.after_seconds = after_seconds


class Reject(IocError):
    """This record can never be understood: quarantine it.

    `cause` is a short code of words and underscores (`xml_cut`, `signature`); `wrong` is a sentence that names places in the
    document, never values: it is stored in clear, so it must not quote what the record says.
    """

    def __init__(self, cause: str, wrong: str) -> None:
        super().__init__(wrong)
        self.cause = cause
