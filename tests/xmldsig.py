"""Signing documents as Decision 1450 asks for, by the words of the standard (XMLDSig) and without the library that verifies."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
FROM, UNTIL = datetime(2025, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Party:
    """Someone with a key and a certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def authority(name: str, by: Party | None = None, since: datetime = FROM, until: datetime = UNTIL) -> Party:
    """A certification authority: a root, or one that `by` issued."""
    return _party(name, by, True, since, until)


def signer(name: str, by: Party, since: datetime = FROM, until: datetime = UNTIL) -> Party:
    """A seller, or the tax office."""
    return _party(name, by, False, since, until)


def _party(name: str, by: Party | None, is_authority: bool, since: datetime, until: datetime) -> Party:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.COUNTRY_NAME, "VN")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION, x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12")])
        builder = builder.add_extension(usage, critical=False)
    return Party(key, builder.sign(by.key if by else key, hashes.SHA256()))


def sign(
    document: etree._Element,
    part: str,
    place: str,
    party: Party,
    chain: tuple[Party, ...] = (),
    at: str = "2026-11-20T09:00:00",
    leave_out: tuple[str, ...] = (),
    method: type[hashes.HashAlgorithm] = hashes.SHA256,
    time_in: str = DS,
) -> None:
    """Put a signature over the child `part` (with an Id) into the element at `place`, which is made. leave_out: `part` or `time`. time_in: the
    namespace of what the Object holds, "" for none."""
    holder = document
    for name in place.split("/"):
        found = holder.find(name)
        holder = etree.SubElement(holder, name) if found is None else found
    signature = etree.SubElement(holder, f"{{{DS}}}Signature", nsmap={None: DS}, Id=f"s-{part}-{len(place)}")
    info = etree.SubElement(signature, f"{{{DS}}}SignedInfo")
    value = etree.SubElement(signature, f"{{{DS}}}SignatureValue")
    data = etree.SubElement(etree.SubElement(signature, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    for each in (party, *chain):
        held = etree.SubElement(data, f"{{{DS}}}X509Certificate")
        held.text = base64.b64encode(each.certificate.public_bytes(serialization.Encoding.DER)).decode()
    said = etree.fromstring(  # written, not built: lxml forgets xmlns="" below a default namespace
        f'<Object xmlns="{DS}" Id="o-{part}-{len(place)}"><SignatureProperties xmlns="{time_in}"><SignatureProperty Target="#s">'
        f"<SigningTime>{at}</SigningTime></SignatureProperty></SignatureProperties></Object>"
    )
    signature.append(said)
    target = document.find(part)
    assert target is not None
    etree.SubElement(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=C14N)
    sha = "sha1" if method is hashes.SHA1 else "sha256"
    uri = "http://www.w3.org/2000/09/xmldsig#rsa-sha1" if sha == "sha1" else "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    etree.SubElement(info, f"{{{DS}}}SignatureMethod", Algorithm=uri)
    for name, element in (("part", target), ("time", said)):
        if name not in leave_out:
            _refer(info, element)
    value.text = base64.b64encode(party.key.sign(canonical_of(info), padding.PKCS1v15(), method())).decode()


def canonical_of(element: etree._Element) -> bytes:
    """C14N of an element; written and read first, for lxml adds xmlns="" where a default namespace is declared above."""
    return etree.tostring(etree.fromstring(etree.tostring(element, with_tail=False)), method="c14n")


def _refer(info: etree._Element, element: etree._Element) -> None:
    reference = etree.SubElement(info, f"{{{DS}}}Reference", URI=f"#{element.get('Id')}")
    if element.tag != f"{{{DS}}}Object":
        transforms = etree.SubElement(reference, f"{{{DS}}}Transforms")
        etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature")
    etree.SubElement(reference, f"{{{DS}}}DigestMethod", Algorithm="http://www.w3.org/2001/04/xmlenc#sha256")
    digest = etree.SubElement(reference, f"{{{DS}}}DigestValue")
    digest.text = base64.b64encode(hashlib.sha256(canonical_of(element)).digest()).decode()
