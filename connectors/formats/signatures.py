"""XML signatures in documents (XMLDSig): that what they sign is unchanged, and that they lead to an authority we were given."""

from base64 import b64decode
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509 import verification
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from connectors.formats import times
from streams.departments.einvoice import Signature
from streams.errors import Misconfigured
from streams.event import moment

MOST = 8  # signatures at one place, certificates in one, references of one; real ones have one, one to three, two
_ANY = verification.ExtensionPolicy.permit_all()
_XMLDSIG = "{http://www.w3.org/2000/09/xmldsig#}"


def looked_at(document: etree._Element, part: str, places: tuple[str, ...], authorities: bytes, known_at_us: int) -> Signature:
    """What is known of the signatures at `places` (paths below the document, without namespaces) over its child `part`.

    `signed` when there is one, and each covers that child and its own SigningTime, with a certificate that led to one of `authorities` (PEM) at
    that time (without one: at the arrival). Whether a certificate was revoked is not looked at. Pure.
    """
    paths = ["/".join(f"{{*}}{name}" for name in f"{place}/Signature".split("/")) for place in places]
    found = [(path, number) for path in paths for number, held in enumerate(document.findall(path)) if len(held)]
    if not found:
        return "unsigned"
    if len(found) > MOST or len(document.findall(f"{{*}}{part}")) != 1:  # a second one: which of them is signed?
        return "invalid"
    return "signed" if all(_is_right(document, part, path, number, authorities, known_at_us) for path, number in found) else "invalid"


def trusted(authorities: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM bundle. Raises Misconfigured when there is none or one cannot be read."""
    try:
        return x509.load_pem_x509_certificates(authorities)
    except ValueError:
        raise Misconfigured("the bundle of authorities cannot be read", "give a file of certificates in PEM") from None


def _is_right(document: etree._Element, part: str, path: str, number: int, authorities: bytes, known_at_us: int) -> bool:
    for alone in _alone(document):
        own = alone.findall(path)[number]
        for other in [*alone.iter(f"{_XMLDSIG}Signature")]:
            if other is not own and (parent := other.getparent()) is not None:
                parent.remove(other)
        try:
            if _verified(alone, own, part, authorities, known_at_us):
                return True
        except Exception:  # noqa: S112  # whatever a library makes of a stranger's signature, it is none that we could trust
            continue
    return False


def _alone(document: etree._Element) -> Iterator[etree._Element]:
    """The document as its signer may have had it: by itself, or with the namespaces that are declared around it."""
    yield deepcopy(document)
    if document.getparent() is not None:
        yield etree.fromstring(etree.tostring(document, with_tail=False), etree.XMLParser(resolve_entities=False, no_network=True))


def _verified(document: etree._Element, signature: etree._Element, part: str, authorities: bytes, known_at_us: int) -> bool:
    said = signature.findtext(".//{*}SigningTime")
    at_us = times.instant(said.strip()) if said else known_at_us
    if at_us is None:
        return False
    if len([*signature.iter("{*}Reference")]) > MOST or len([*signature.iter("{*}Transform")]) > 2 * MOST:
        return False
    at = moment(at_us)
    found = [b64decode(text) for each in signature.iter(f"{_XMLDSIG}X509Certificate") if (text := each.text)]
    signer = _led(tuple(found[:MOST]), authorities, at)
    expected = SignatureConfiguration(
        expect_references=True, verification_time=at, default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0
    )
    verifier = _Verifier()
    # Not by the schema: it wants SigningTime in a namespace of its own, and Decision 1450 has it in none.
    results = verifier.verify(document, x509_cert=signer, validate_schema=False, expect_config=expected)
    covered = [r.signed_xml for r in results if r.signed_xml is not None] if isinstance(results, list) else []
    child = document.find(f"{{*}}{part}")  # an Id stands for one element only: signxml refuses a document where it does not
    mine = any(each.get("Id") and child is not None and (each.tag, each.get("Id")) == (child.tag, child.get("Id")) for each in covered)
    return mine and (said is None or any(each.find(".//{*}SigningTime") is not None for each in covered))


class _Verifier(XMLVerifier):
    """Canonicalises each element by itself: within its document lxml writes xmlns="" where the signer had none (signxml issue 275), and to take
    all of them out again, as signxml can, takes out those the signer had, as most have in their Object."""

    def _c14n(
        self,
        nodes: etree._Element | list[etree._Element],
        algorithm: CanonicalizationMethod,
        inclusive_ns_prefixes: list[str] | None = None,
    ) -> bytes:
        held = nodes if isinstance(nodes, list) else [nodes]
        alone = [etree.fromstring(etree.tostring(each, with_tail=False), self.parser) for each in held]
        canonical: bytes = super()._c14n(alone, algorithm, inclusive_ns_prefixes)
        return canonical


def _led(chain: tuple[bytes, ...], authorities: bytes, at: datetime) -> x509.Certificate:
    """The certificate that signed, once it leads to an authority: the one that none of the others was issued by. Raises what cryptography does."""
    certificates = [x509.load_der_x509_certificate(der) for der in chain]
    issuers = {certificate.issuer for certificate in certificates if certificate.issuer != certificate.subject}
    leaf = next(certificate for certificate in certificates if certificate.subject not in issuers)
    ca_policy = _ANY.require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, _is_authority)
    builder = verification.PolicyBuilder().store(_store(authorities)).time(at).extension_policies(ee_policy=_ANY, ca_policy=ca_policy)
    builder.build_client_verifier().verify(leaf, [certificate for certificate in certificates if certificate is not leaf])
    return leaf


def _is_authority(policy: verification.Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("no authority")


@lru_cache(maxsize=16)
def _store(authorities: bytes) -> verification.Store:
    return verification.Store(trusted(authorities))
