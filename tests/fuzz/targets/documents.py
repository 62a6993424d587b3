"""The federation file: a document, or a list of what is wrong with it and where."""

from federation.errors import InvalidDocument
from federation.services.document import FederationDocument, find_line, parse_document, parse_federation_file


def exercise(octets: bytes) -> None:
    """The octets are the file; those that are no text came with another error before."""
    text = octets.decode("utf-8", "replace")
    try:
        content = parse_federation_file(text, file="federation.toml", read_secret=_read_secret)
    except InvalidDocument as refused:
        _check_refusal(refused, text)
        return
    document = parse_document(content)
    assert isinstance(document, FederationDocument)
    owners = [library.id for library in document.libraries]
    assert len(owners) == len(set(owners))
    assert "secret of the file" not in repr(document)


def _check_refusal(refused: InvalidDocument, text: str) -> None:
    assert refused.problems
    assert all(problem.message for problem in refused.problems)
    assert "federation.toml" in str(refused)
    for problem in refused.problems:
        find_line(text, problem.field)


def _read_secret(kind: str, place: str) -> str:
    """Some secrets are there, some are not, some are no text."""
    if place.startswith("x"):
        raise KeyError(place) if kind == "secret_env" else FileNotFoundError(2, "No such file", place)
    if place.startswith("y"):
        b"\xff".decode()
    return "secret of the file\n"
