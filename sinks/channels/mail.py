"""Mail: one letter by SMTP, over TLS unless settings say otherwise, with a Message-ID that a repeat shares."""

import contextlib
import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from sinks.channels.channel import needed, secret
from streams.errors import Misconfigured, Reject, Retry
from streams.event import VIETNAM
from streams.rules.message import Message
from streams.settings import Channel as Chosen


class Mail:
    """A channel. Some of its recipients may be refused while others are not: then it counts as sent."""

    def __init__(self, chosen: Chosen, password: str | None) -> None:
        self._chosen = chosen
        self._password = password

    def send(self, message: Message) -> None:
        name = f"channel {self._chosen.name}"
        try:
            with contextlib.closing(self._session()) as session:
                if self._chosen.user and self._password is not None:
                    session.login(self._chosen.user, self._password)
                session.send_message(letter(self._chosen, message))
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    session.quit()  # the letter is taken by now, however they part
        except smtplib.SMTPRecipientsRefused as error:
            raise _refused(name, "every recipient", max(code for code, _ in error.recipients.values())) from None
        except smtplib.SMTPServerDisconnected:
            raise Retry(f"{name}: the mail server hung up") from None
        except smtplib.SMTPNotSupportedError:
            raise Reject("smtp_unsupported", f"{name}: the mail server offers no {self._chosen.security} or no login") from None
        except smtplib.SMTPResponseException as error:
            raise _refused(name, type(error).__name__.removeprefix("SMTP"), error.smtp_code) from None
        except (OSError, smtplib.SMTPException) as error:
            raise Retry(f"{name} cannot be reached ({type(error).__name__})") from None

    def close(self) -> None:
        """Each letter has a connection of its own."""

    def _session(self) -> smtplib.SMTP:
        chosen, context = self._chosen, ssl.create_default_context()
        if chosen.security == "tls":
            return smtplib.SMTP_SSL(chosen.host or "", chosen.port, timeout=chosen.timeout_seconds, context=context)
        session = smtplib.SMTP(chosen.host or "", chosen.port, timeout=chosen.timeout_seconds)
        if chosen.security == "starttls":
            try:
                session.starttls(context=context)
            except BaseException:
                session.close()
                raise
        return session


def letter(chosen: Chosen, message: Message) -> EmailMessage:
    """The mail: the same for the same message, whenever it is made. Letters of one alarm make one thread."""
    domain = (chosen.sender or "").rpartition("@")[2].rstrip(">")
    made = EmailMessage()
    made["Subject"] = message.title
    made["From"] = chosen.sender
    made["To"] = ", ".join(chosen.recipients)
    made["Date"] = format_datetime(datetime.fromisoformat(message.made_at).astimezone(VIETNAM))
    made["Message-ID"] = f"<{message.key}@{domain}>"
    if message.alarm is not None:
        made["References"] = f"<ioc-{message.space}-{message.alarm}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(message.text, charset="utf-8")
    return made


def _refused(name: str, what: str, code: int) -> Retry | Reject:
    said = f"{name}: the mail server refused {what} ({code})"
    return Reject(f"smtp_{code}", said) if code >= 500 else Retry(said)


def connect(chosen: Chosen) -> Mail:
    """The channel of its settings."""
    needed(chosen, "host", '"smtp.example.vn"')
    sender = needed(chosen, "sender", '"ioc@example.vn"')
    needed(chosen, "recipients", '["truc@example.vn"]')
    wrong = [address for address in (sender, *chosen.recipients) if "@" not in address or any(sign in address for sign in "\r\n,")]
    if wrong:
        raise Misconfigured(f"channel {chosen.name}: {wrong[0]!r} is no address", "write name@host")
    password = secret(chosen, "the user's password") if chosen.user else None
    return Mail(chosen, password)
