"""What is kept encrypted, so that a copy of the database gives no secrets away."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from storage.errors import NoKey, WrongKey


class Encryption:
    """Encrypts and decrypts with one key: any text, the longer the better."""

    def __init__(self, key: str | None) -> None:
        self._fernet: Fernet | None = None
        if key is not None:
            digest = hashlib.sha256(key.encode()).digest()
            self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def encrypt(self, plain: bytes) -> bytes:
        """Raises NoKey."""
        return self._cipher().encrypt(plain)

    def decrypt(self, encrypted: bytes) -> bytes:
        """Raises NoKey, and WrongKey when it was not encrypted with this key."""
        try:
            return self._cipher().decrypt(encrypted)
        except InvalidToken as error:
            raise WrongKey(
                "kept data was encrypted with another key than this process has"
            ) from error

    def _cipher(self) -> Fernet:
        if self._fernet is None:
            raise NoKey("no encryption key is set, so block documents can be neither kept nor read")
        return self._fernet
