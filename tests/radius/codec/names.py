"""What the tests of the codec share."""

from pathlib import Path

import config
from radius.codec.dictionary import load
from radius.wire.authenticators import KeyedSecret

DICTIONARY_PATH = Path(config.__file__).parent / "dictionaries" / "dictionary"
DICTIONARY = load(DICTIONARY_PATH)
KEYED = KeyedSecret(b"a secret of this test")
AUTHENTICATOR = bytes(range(16))
