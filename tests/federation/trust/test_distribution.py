"""Where certificates lead for revocation lists: which URLs can stand there, and what is read back."""

import pytest
from cryptography import x509

from federation.trust.authority import create_issuing, create_root, issue_eap_server
from federation.trust.distribution import MAX_URL_CHARACTERS, build_list_url, is_public_url, read_list_urls
from federation.trust.profiles import Purpose
from tests.federation.trust.certificates import NOW


class TestPublicUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "http://biebroam.example",
            "https://biebroam.example:8443",
            "http://192.0.2.1/radius",
            "http://[2001:db8::1]:8080",
        ],
    )
    def test_place_for_the_paths_of_the_api(self, url: str) -> None:
        """Scheme and host, perhaps with a port and a path."""
        assert is_public_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "biebroam.example",
            "http://",
            "http:///v1",
            "ldap://biebroam.example",
            "file:///etc/passwd",
            "http://user@biebroam.example",
            "http://user:word@biebroam.example",
            "http://@biebroam.example",
            "http://biebroam.example?",
            "http://biebroam.example?a=b",
            "http://biebroam.example#a",
            "http://biebroam.example\\evil",
            "http://biebroam.example/a b",
            "http://biebroam.example/\r\nHost: x",
            "http://biëbroam.example",
            "http://biebroam.example:0",
            "http://biebroam.example:65536",
            "http://biebroam.example:port",
            "http://[2001:db8::1",
            f"http://biebroam.example/{MAX_URL_CHARACTERS * 'a'}",
        ],
    )
    def test_what_can_not_stand_in_a_certificate(self, url: str) -> None:
        """Another scheme, no host, a user, a query, a fragment, white space, or anything but ASCII."""
        assert not is_public_url(url)


def test_list_of_the_generation_that_issued() -> None:
    """The address names the authority's purpose and generation; without a public URL there is none."""
    url = build_list_url("http://biebroam.example/radius", Purpose.EAP, 2)
    assert url == "http://biebroam.example/radius/v1/trust/eap.crl?generation=2"
    assert build_list_url("", Purpose.EAP, 2) is None
    root = build_list_url("http://biebroam.example/radius", Purpose.EAP, 2, of_root=True)
    assert root == "http://biebroam.example/radius/v1/trust/eap-root.crl?generation=2"
    assert build_list_url("", Purpose.EAP, 2, of_root=True) is None


def test_certificate_is_read_back() -> None:
    """What was put into a certificate is read from it, and nothing from one that has none."""
    root = create_root(Purpose.EAP, "biebroam", NOW)
    issuing = create_issuing(root, Purpose.EAP, "biebroam", NOW)
    url = "http://biebroam.example/v1/trust/eap.crl?generation=1"
    led = issue_eap_server(issuing, "login.biebroam.example", "biebroam", NOW, url).certificate
    assert read_list_urls(led) == (url,)
    extension = led.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert not extension.critical  # RFC 5280 §4.2.1.13
    assert read_list_urls(root.certificate) == ()


def test_authority_leads_to_its_roots_list() -> None:
    """Its certificate says where the list is that would name it, and goes on doing so in another term."""
    root = create_root(Purpose.PEERS, "biebroam", NOW)
    url = build_list_url("http://biebroam.example", Purpose.PEERS, 1, of_root=True)
    issuing = create_issuing(root, Purpose.PEERS, "biebroam", NOW, crl_url=url)
    assert read_list_urls(issuing.certificate) == (url,)
    assert not issuing.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).critical
    assert read_list_urls(create_issuing(root, Purpose.PEERS, "biebroam", NOW, issuing, crl_url=url).certificate) == (
        url,
    )
