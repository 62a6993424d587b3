"""Where the revocation list of a certificate's issuer is to be had, as the certificate says it (RFC 5280 §4.2.1.13).

The list is that of the issuing authority of one generation: the address goes on leading to it when another one issues.
The certificate of the issuing authority leads to its root's list, by which a verifier of the whole chain, such as
Windows, knows that the authority is not revoked. There is no `caIssuers` beside it (RFC 5280 §4.2.2.1): every peer
shows its issuer, and a device that is about to join the Wi-Fi has no way to fetch it.
"""

from typing import TypeVar
from urllib.parse import urlsplit

from cryptography import x509

from federation.trust.profiles import Purpose

MAX_URL_CHARACTERS = 500
_Builder = TypeVar("_Builder", x509.CertificateBuilder, x509.CertificateSigningRequestBuilder)
_PRINTABLE = frozenset(map(chr, range(0x21, 0x7F)))  # an IA5String without white space and controls


def is_public_url(url: str) -> bool:
    """Whether the paths of the API can be put behind *url*: http or https, a host, no user, no query, no fragment."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an address, a port that is no number
        return False
    return (
        has_host
        and parts.scheme in {"http", "https"}
        and "@" not in parts.netloc
        and not {"?", "#", "\\"} & set(url)
        and len(url) <= MAX_URL_CHARACTERS
        and set(url) <= _PRINTABLE
    )


def build_list_url(public_url: str, purpose: Purpose, generation: int, *, of_root: bool = False) -> str | None:
    """The address of the list of that issuing authority, or its root; None where the federation has no public URL."""
    name = f"{purpose}-root" if of_root else str(purpose)
    return f"{public_url}/v1/trust/{name}.crl?generation={generation}" if public_url else None


def with_list_url(builder: _Builder, url: str | None) -> _Builder:
    """The certificate, or the request for one, names that address; none where there is none."""
    if url is None:
        return builder
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)


def read_list_urls(certificate: x509.Certificate | x509.CertificateSigningRequest) -> tuple[str, ...]:
    """The addresses of revocation lists that a certificate, or a request for one, names."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return ()
    names = (name for point in points for name in point.full_name or ())
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
