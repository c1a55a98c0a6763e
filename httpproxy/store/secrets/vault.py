"""Secrets at rest: sealed with AES-256-GCM, and never shown by accident.

A sealed secret is

    version (1 byte) · key id (4) · nonce (12) · ciphertext and tag

and is bound to its place (table, row, column) as associated data: copied into another
row it does not open. A vault seals with one key, and opens with every key that it
knows, which the key id tells apart; so keys are changed while processes run
(`httpproxy.store.secrets.sealing`, docs/security.md). Keys come from the operator, or from a
file that is made once and readable by its owner alone: one key a line, the one in use
first. `fingerprint` recognises a token without storing it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
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
_KEY_ID_BYTES: Final = 4
_HEAD_BYTES: Final = 1 + _KEY_ID_BYTES
MIN_KEY: Final = 32  # characters


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


class _Key:
    """What follows from one key. Separate ones for separate uses, so that neither says
    anything of the other."""

    __slots__ = ("cipher", "id", "mark")

    def __init__(self, text: str) -> None:
        material = text.strip().encode()
        if len(material) < MIN_KEY:
            raise KeyMismatch(f"a secret key needs at least {MIN_KEY} characters")
        self.cipher = AESGCM(digest(material, b"httpproxy seal v1", sha256))
        self.mark = digest(material, b"httpproxy fingerprint v1", sha256)
        self.id = digest(material, b"httpproxy key id v1", sha256)[:_KEY_ID_BYTES]


class Vault:
    """Seals secrets with one key and opens them with that and the former ones, each of
    at least 32 characters. `reread` gives the keys anew, where they can change meanwhile.
    """

    def __init__(
        self,
        key: str,
        former: Iterable[str] = (),
        *,
        reread: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self._reread = reread
        self._take([key, *former])

    def _take(self, texts: Sequence[str]) -> None:
        keys = [_Key(text) for text in texts]
        self._current = keys[0]
        self._known = {key.id: key for key in reversed(keys)}

    def __repr__(self) -> str:
        return f"Vault(key {self.key_id})"

    @property
    def key_id(self) -> str:
        """What the key in use is recognised by: 8 hex digits."""
        return self._current.id.hex()

    @property
    def key_ids(self) -> frozenset[str]:
        """The ids of all keys that it opens with."""
        return frozenset(id_.hex() for id_ in self._known)

    @classmethod
    def of_file(cls, data_dir: Path, former: Sequence[str] = ()) -> Vault:
        """The vault of a data folder; its key file is made if there is none.

        It takes up by itself what is changed in the file. Raises KeyMismatch if the file
        is there and cannot be used.
        """
        if not (data_dir / KEY_FILE).exists():
            _write_keys(data_dir, [_new_key()], replacing=False)
        rereading = _Rereading(data_dir, former)
        current, *others = read_keys(data_dir)
        return cls(current, [*others, *former], reread=rereading)

    def seal(self, secret: Secret, *place: str) -> bytes:
        """The secret sealed for its place: (table, row, column)."""
        self.renew()
        key, nonce = self._current, secrets.token_bytes(_NONCE_BYTES)
        head = bytes([_VERSION]) + key.id
        sealed = key.cipher.encrypt(nonce, secret.reveal().encode(), _bound(head, place))
        return head + nonce + sealed

    def open(self, sealed: bytes, *place: str) -> Secret:
        """The secret that `seal` put there. Raises KeyMismatch."""
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        where = " ".join(place)
        if len(head) < _HEAD_BYTES or head[0] != _VERSION:
            raise KeyMismatch(f"{where}: this version cannot read how the secret is sealed")
        if head[1:] not in self._known:
            self.renew()
        key = self._known.get(head[1:])
        if key is None:
            raise KeyMismatch(f"{where}: {unknown_key([head[1:].hex()], self.key_ids)}")
        nonce, text = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            return Secret(key.cipher.decrypt(nonce, text, _bound(head, place)).decode())
        except (InvalidTag, ValueError) as error:
            raise KeyMismatch(f"{where}: the sealed secret was changed or moved") from error

    def fingerprint(self, token: str) -> bytes:
        """A keyed hash of a token, to recognise it by: 32 bytes. Another key, another
        hash: it is for what may be forgotten."""
        return digest(self._current.mark, token.encode("utf-8", "surrogateescape"), sha256)

    def renew(self) -> None:
        """Takes up keys that have changed meanwhile. Raises KeyMismatch."""
        texts = self._reread() if self._reread is not None else ()
        if texts:
            self._take(texts)


class _Rereading:
    """The keys of a file, whenever the file has changed; else nothing."""

    def __init__(self, data_dir: Path, former: Sequence[str]) -> None:
        self._data_dir, self._former = data_dir, former
        self._seen = self._stamp()

    def __call__(self) -> Sequence[str]:
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return ()  # without the file, the keys that are known stay
        keys = [*read_keys(self._data_dir), *self._former]
        self._seen = stamp
        return keys

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = (self._data_dir / KEY_FILE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def open_vault(data_dir: Path, key: str | None, former: Sequence[str] = ()) -> Vault:
    """The vault of these settings: with the operator's key, or that of the data folder.

    Where the operator has set a key, those of the folder still open what they sealed.
    Raises KeyMismatch.
    """
    if key is None:
        return Vault.of_file(data_dir, former)
    in_file = read_keys(data_dir) if (data_dir / KEY_FILE).exists() else ()
    return Vault(key, [*former, *in_file])


def credential_place(credential_id: str) -> tuple[str, str, str]:
    """Where a stored credential's secret is: what it is sealed for."""
    return "httpproxy.credential", credential_id, "secret"


def app_place(app_id: str) -> tuple[str, str, str]:
    """Where an OAuth app's secret is."""
    return "httpproxy.oauth_app", app_id, "secret"


def unknown_key(wanted: Iterable[str], known: Iterable[str]) -> str:
    """What to say where no key is known for a sealed secret; ids of keys."""
    return (
        f"sealed with key {', '.join(sorted(wanted))}, but what is known is"
        f" {', '.join(sorted(known))}. Set the key that is missing as HTTPPROXY_SECRET_KEY"
        f" or in HTTPPROXY_FORMER_SECRET_KEYS (or restore {KEY_FILE}), or enter the secret"
        " again: `httpproxy sync token`"
    )


def read_keys(data_dir: Path) -> list[str]:
    """The keys of a data folder, the one in use first. Raises KeyMismatch."""
    path = data_dir / KEY_FILE
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        keys = [line for line in lines if line]
        for key in keys or [""]:
            _Key(key)
    except (OSError, UnicodeDecodeError, KeyMismatch) as error:
        raise KeyMismatch(
            f"{path} cannot be used: {error}. Restore it, or set HTTPPROXY_SECRET_KEY;"
            " secrets that were stored with it can only be entered again"
        ) from error
    return keys


def add_key(data_dir: Path) -> None:
    """Puts a new key before those of the folder's file: it is the one in use from now on,
    for every process that works in this folder. Raises KeyMismatch."""
    handle = os.open(data_dir, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # two at once would lose one's key
        _write_keys(data_dir, [_new_key(), *read_keys(data_dir)], replacing=True)
    finally:
        os.close(handle)


def _new_key() -> str:
    return secrets.token_urlsafe(32)


def _write_keys(data_dir: Path, keys: Sequence[str], *, replacing: bool) -> None:
    """Written aside and put in place whole, so that nobody reads half a key. If it is not
    `replacing`, whoever comes first wins."""
    path = data_dir / KEY_FILE
    data_dir.mkdir(parents=True, exist_ok=True)
    draft = data_dir / f".{KEY_FILE}.{secrets.token_hex(8)}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    if replacing:
        draft.replace(path)
        return
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _bound(head: bytes, place: tuple[str, ...]) -> bytes:
    return head + "\0".join(place).encode()  # names and ids have no NUL
