"""What only the owner of a key may read or have written: JSON, encrypted and authenticated, in one file.

Every purpose has a key of its own, derived from the owner's, so that a plan never opens as a reserve.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .keys import derive_key

_MAGIC = b"monai_umed proof 1\n"
_NONCE_BYTES, _CHECK_BYTES = 12, 16


class ProofError(ValueError):
    """A proof cannot be made or checked; the message names the file, the reason and the cure."""


def subkey(key: bytes, purpose: str) -> bytes:
    """The key of one purpose: ``"reserve"``, ``"queries 3"``, ``"decoys 3"``, ``"plan"``, ``"log"``."""
    return derive_key(key, f"proof 1 {purpose}")


def canonical(content: Any) -> bytes:
    """The one way in which a value is written as JSON: sorted names, no spaces, ASCII.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest(content: Any) -> str:
    """SHA-256 of :func:`canonical`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(content)).hexdigest()


def seal_json(content: Any, key: bytes, purpose: str) -> bytes:
    """Encrypt and authenticate JSON by AES-256-GCM (NIST SP 800-38D) under :func:`subkey`."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    header = _MAGIC + nonce + _key_check(key, nonce)
    return header + AESGCM(subkey(key, purpose)).encrypt(nonce, zlib.compress(canonical(content), 9), header)


def open_json(sealed: bytes, key: bytes, purpose: str, *, name: str) -> Any:
    """Undo :func:`seal_json`.

    Args:
        sealed: what it returned.
        key: 32 bytes.
        purpose: what it was sealed for.
        name: of the file, for messages.

    Raises:
        ProofError: If it is of another key, or not what was sealed for this purpose.
    """
    size = len(_MAGIC) + _NONCE_BYTES + _CHECK_BYTES
    header, nonce = sealed[:size], sealed[len(_MAGIC) : len(_MAGIC) + _NONCE_BYTES]
    if not sealed.startswith(_MAGIC) or len(sealed) <= size:
        raise ProofError(f"{name}: damaged, or no sealed file; restore it from a copy")
    if not hmac.compare_digest(header[-_CHECK_BYTES:], _key_check(key, nonce)):
        raise ProofError(f"{name}: sealed with another key, or damaged; pass the key that the reserve was drawn with")
    try:
        return json.loads(zlib.decompress(AESGCM(subkey(key, purpose)).decrypt(nonce, sealed[size:], header)))
    except InvalidTag:
        raise ProofError(f"{name}: changed after it was sealed; restore it from a copy") from None


def by_lot(names: Iterable[str], key: bytes, purpose: str) -> list[str]:
    """Names in an order that the key decides: by HMAC-SHA256, hence at random, and the same on every computer."""
    drawn = subkey(key, purpose)
    return sorted(names, key=lambda name: hmac.digest(drawn, name.encode("utf-8", "surrogateescape"), "sha256"))


def random_numbers(key: bytes, purpose: str) -> np.random.Generator:
    """Random numbers that the key decides."""
    return np.random.default_rng(int.from_bytes(subkey(key, purpose), "big"))


def _key_check(key: bytes, nonce: bytes) -> bytes:
    """Tells a wrong key from damage; the nonce in it keeps outsiders from seeing which files share a key."""
    return derive_key(key, "proof 1 key check", nonce)[:_CHECK_BYTES]
