"""Secrets at rest: sealed with AES-256-GCM, and never shown by accident.

A sealed secret is

    version (1 byte) · key id (4) · nonce (12) · ciphertext and tag

and is bound to its place (table, row, column) as associated data: copied into another
row it does not open. The key comes from the operator or from a file that is made once,
readable by its owner alone. `fingerprint` recognises a token without storing it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from httpproxy.store.errors import KeyMismatch

KEY_FILE: Final = "secret.key"
_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = 5


class Secret:
    """A text that must not be logged. `reveal()` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(
            self._text.encode(), other._text.encode()
        )

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class Vault:
    """Seals and opens secrets with one key, of at least 32 characters."""

    def __init__(self, key: str) -> None:
        material = key.strip().encode()
        if len(material) < 32:
            raise KeyMismatch("the secret key needs at least 32 characters")
        # Separate keys for separate uses, so that neither says anything of the other.
        self._cipher = AESGCM(digest(material, b"httpproxy seal v1", sha256))
        self._mark_key = digest(material, b"httpproxy fingerprint v1", sha256)
        self._key_id = digest(material, b"httpproxy key id v1", sha256)[:4]

    def __repr__(self) -> str:
        return f"Vault(key {self._key_id.hex()})"

    @classmethod
    def of_file(cls, data_dir: Path) -> Vault:
        """The vault of a data folder; its key file is made if there is none.

        Raises KeyMismatch if the file is there and cannot be used.
        """
        path = data_dir / KEY_FILE
        data_dir.mkdir(parents=True, exist_ok=True)
        # Written aside and linked: whoever comes first wins, nobody reads half a key.
        draft = data_dir / f".{KEY_FILE}.{secrets.token_hex(8)}"
        if not path.exists():
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        try:
            return cls(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, KeyMismatch) as error:
            raise KeyMismatch(
                f"{path} cannot be used: {error}. Restore it, or set HTTPPROXY_SECRET_KEY;"
                " secrets that were stored with it can only be entered again"
            ) from error

    def seal(self, secret: Secret, *place: str) -> bytes:
        """The secret sealed for its place: (table, row, column)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = bytes([_VERSION]) + self._key_id
        sealed = self._cipher.encrypt(nonce, secret.reveal().encode(), _bound(head, place))
        return head + nonce + sealed

    def open(self, sealed: bytes, *place: str) -> Secret:
        """The secret that `seal` put there. Raises KeyMismatch."""
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        where = " ".join(place)
        if len(head) < _HEAD_BYTES or head[0] != _VERSION:
            raise KeyMismatch(f"{where}: this version cannot read how the secret is sealed")
        if head[1:] != self._key_id:
            raise KeyMismatch(
                f"{where}: sealed with key {head[1:].hex()}, but the key in use is"
                f" {self._key_id.hex()}. Set the former HTTPPROXY_SECRET_KEY (or restore"
                f" {KEY_FILE}), or enter the secret again"
            )
        nonce, text = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            return Secret(self._cipher.decrypt(nonce, text, _bound(head, place)).decode())
        except (InvalidTag, ValueError) as error:
            raise KeyMismatch(f"{where}: the sealed secret was changed or moved") from error

    def fingerprint(self, token: str) -> bytes:
        """A keyed hash of a token, to recognise it by: 32 bytes."""
        return digest(self._mark_key, token.encode("utf-8", "surrogateescape"), sha256)


def _bound(head: bytes, place: tuple[str, ...]) -> bytes:
    return head + "\0".join(place).encode()  # names and ids have no NUL
