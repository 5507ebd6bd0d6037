"""Tickets for downloads: a browser writes what it navigates to straight to the disk, but sends no credentials
along. Who has them is given a ticket, and who has the ticket is given that one download.

A ticket says what is downloaded and until when it holds, signed with a key made of the shared secret: every
API process of an installation takes what another one gave, and nothing is kept. The secret is not in it, and
trying secrets on a ticket that somebody has seen takes as long as the derivation of the key.
"""

import base64
import binascii
import functools
import hashlib
import hmac

VALID_SECONDS = 60
_SIGNATURE_BYTES = 32
_EXPIRY_BYTES = 8
_SALT = b"tailrace download ticket"


class DownloadTickets:
    """Tickets of an installation with this secret; None where everybody is admitted anyway."""

    def __init__(self, secret: str | None) -> None:
        self._secret = (secret or "").encode()

    def issue(self, wanted: bytes, *, now: float) -> str:
        """A ticket, of letters, digits, `-` and `_`, for the download that `wanted` describes; `now` is in
        seconds since 1970. The first call takes some 50 ms."""
        signed = int(now + VALID_SECONDS).to_bytes(_EXPIRY_BYTES) + wanted
        return base64.urlsafe_b64encode(self._sign(signed) + signed).decode().rstrip("=")

    def redeem(self, ticket: str, *, now: float) -> bytes | None:
        """What a ticket was issued for; None for one that is none, or has run out."""
        try:
            held = base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))
        except (binascii.Error, ValueError):
            return None
        signature, signed = held[:_SIGNATURE_BYTES], held[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(signed)):
            return None
        expires = int.from_bytes(signed[:_EXPIRY_BYTES])
        return signed[_EXPIRY_BYTES:] if now < expires else None

    def _sign(self, signed: bytes) -> bytes:
        return hmac.digest(self._key, signed, "sha256")

    @functools.cached_property
    def _key(self) -> bytes:
        return hashlib.scrypt(self._secret, salt=_SALT, n=2**14, r=8, p=1, dklen=32)
