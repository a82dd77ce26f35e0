"""Seal the original of one case, so that the owner of the key gets it back bit by bit.

Restoring needs only decoders, whose results a standard fixes. Encoding the original pixels again would make sealed PNG
and ``.nii.gz`` files several times smaller, but zlib and its replacements write different bytes for equal pixels, so
that a file sealed on one computer could not be restored on another. Hence PNG, JPEG and ``.nii.gz`` files, whose pixels
are encoded, are in effect sealed whole, and all others as their difference from the protected file, see
:mod:`monai_umed.sealing.residual`. The files of a DICOM series or a NIfTI pair are sealed together.

Sizes are not padded: they tell an outsider less than the checksum of the original, which the manifest publishes.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..data.case import CaseError
from ..data.manifest import CaseRecord
from ..io.content import Content, sha256_content
from ..io.image_files import PAIR
from ..io.joint_path import joint_files
from .keys import KEY_BYTES, derive_key
from .residual import decode_file, decode_folder, encode_file, encode_folder

MAX_BYTES = 2**31 - 1
"""Largest residual that AES-GCM takes in one piece, in bytes."""

_NONCE_BYTES = 12
_CHECKSUM_BYTES = 32
_PREFIX = struct.Struct(f">16sB{_NONCE_BYTES}s{KEY_BYTES}sI")  # magic, format, nonce, key check, length of identity
_MAGIC = b"monai_umed seal\n"
_IDENTITY = ("id", "image", "label", "source", "sha256_before", "sha256_after", "label_sha256")

_FILE, _PARTS = 1, 2
# Encoder and decoder of each format. Versions that know only the first format ask for an update at the second.
_CODECS: dict[int, tuple[Callable[[Any, Any], bytes], Callable[[bytes, Any], Content]]] = {
    _FILE: (encode_file, decode_file),
    _PARTS: (encode_folder, decode_folder),
}


class DamagedError(CaseError):
    """A sealed file is truncated, changed, or not a sealed file at all."""


class WrongKeyError(CaseError):
    """A sealed file is intact but was sealed with another key."""


class SwappedError(CaseError):
    """A sealed file is intact but belongs to another case, or to another protected version of the case."""


class ChangedFileError(CaseError):
    """An original, a protected image or a mask is not the one that the manifest describes."""


def seal_case(original: Content, protected: Content, record: CaseRecord, key: bytes, *, checked: bool = False) -> bytes:
    """Seal the lossless residual between a case's original and its protected version.

    It is encrypted by AES-256-GCM (NIST SP 800-38D) with a key of the case, derived by HKDF-SHA256 (RFC 5869) from
    ``key`` and the id, names and checksums of the case. Sealing a case again is safe although its key is the same:
    nonces are 96 random bits, so two coincide with a probability of 2^-33 after 2^32 seals *of that case*, and the
    checksums bind its key to one pair of files, hence to one residual.

    Args:
        original: the whole original file, or all slices of a series or parts of a pair by name.
        protected: the protected version in the same form.
        record: the case's entry in the manifest.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.new_key`.
        checked: whether the checksums of both are known to be those in ``record``.

    Returns:
        The sealed file. Without the key, it reveals its size and what the manifest says.

    Raises:
        ChangedFileError: If a file is not the one in ``record``.
        CaseError: If the residual exceeds 2 GiB, or only one of the two consists of several files.
        ValueError: If ``key`` has another length.
    """
    if not checked:
        check_content(record, "original", original, record.sha256_before)
        check_content(record, "protected image", protected, record.sha256_after)
    version = _format_of(original)
    if version != _format_of(protected):
        raise CaseError(record.id, "one of original and protected image is a file, the other several; protect it again")
    content = _CODECS[version][0](original, protected)
    if len(content) > MAX_BYTES:
        raise CaseError(record.id, f"{len(content)} bytes to seal, must be <= {MAX_BYTES}; split the volume")
    identity, nonce = _identity(record), secrets.token_bytes(_NONCE_BYTES)
    header = _PREFIX.pack(_MAGIC, version, nonce, _key_check(key, nonce), len(identity)) + identity
    sealed = header + AESGCM(_case_key(key, identity)).encrypt(nonce, content, header)
    return sealed + hashlib.sha256(sealed).digest()


def open_case(sealed: bytes, protected: Content, record: CaseRecord, key: bytes) -> Content:
    """Return the original that :func:`seal_case` sealed.

    A checksum that needs no key is compared first, then a value that only this key gives, and last, authenticated, the
    identity of the case. A forged file may raise the wrong one of these errors, but never gives a result.

    Args:
        sealed: the whole sealed file.
        protected: the whole protected file, or all slices of the protected series or parts of the pair by name.
        record: the case's entry in the manifest.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.read_key`.

    Returns:
        The whole original file, or all slices of the original series or parts of the pair by name, without folders.
        Its SHA-256, see :func:`monai_umed.io.checksum.sha256_path`, is ``record.sha256_before``.

    Raises:
        DamagedError: If the sealed file is not what :func:`seal_case` returned.
        WrongKeyError: If it was sealed with another key.
        SwappedError: If it belongs to another case, or to another version of the files.
        ChangedFileError: If ``protected`` is not the protected file in ``record``.
        CaseError: If it was sealed by a newer version of the package, or has a slice with a folder in its name.
        ValueError: If ``key`` has another length.
    """
    damaged = DamagedError(record.id, "the sealed file is damaged or incomplete; fetch it again")
    body = sealed[:-_CHECKSUM_BYTES]
    if len(body) < _PREFIX.size or hashlib.sha256(body).digest() != sealed[-_CHECKSUM_BYTES:]:
        raise damaged
    magic, version, nonce, key_check, length = _PREFIX.unpack_from(body)
    header = body[: _PREFIX.size + length]
    if magic != _MAGIC:
        raise damaged
    if version not in _CODECS:
        raise CaseError(
            record.id, f"sealed in format {version}, this version reads 1 to {max(_CODECS)}; update the package"
        )
    if not secrets.compare_digest(key_check, _key_check(key, nonce)):
        raise WrongKeyError(record.id, "sealed with another key; pass the key file that was made for this dataset")
    identity = header[_PREFIX.size :]
    try:
        content = AESGCM(_case_key(key, identity)).decrypt(nonce, body[len(header) :], header)
    except InvalidTag:
        raise damaged from None
    if identity != _identity(record):  # only now are these bytes authenticated by the key
        raise SwappedError(record.id, _explain_swap(identity, record))
    check_content(record, "protected image", protected, record.sha256_after)
    original = _CODECS[version][1](content, protected)
    _check_names(record, original)
    check_content(record, "restored original", original, record.sha256_before)
    return original


def check_content(record: CaseRecord, what: str, content: Content, sha256: str) -> None:
    """Raise `ChangedFileError` unless ``content`` has the checksum in the manifest."""
    if sha256_content(content) != sha256:
        reason = f"the {what} is not the file that the manifest describes; fetch it again, or protect the case again"
        raise ChangedFileError(record.id, reason)


def _derive(key: bytes, salt: bytes, purpose: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes, must be {KEY_BYTES}; take it from read_key or new_key")
    return derive_key(key, f"seal 1 {purpose}", salt)


def _case_key(key: bytes, identity: bytes) -> bytes:
    return _derive(key, hashlib.sha256(identity).digest(), "encryption")


def _key_check(key: bytes, nonce: bytes) -> bytes:
    """Return a fingerprint of the key, in which the nonce hides from outsiders which datasets share a key."""
    return _derive(key, nonce, "key check")


def _identity(record: CaseRecord) -> bytes:
    return json.dumps({name: getattr(record, name) for name in _IDENTITY}, sort_keys=True).encode("ascii")


def _explain_swap(identity: bytes, record: CaseRecord) -> str:
    other = json.loads(identity)
    if other["id"] != record.id:
        return f"the sealed file is that of case {other['id']!r}; put the files back under their own names"
    names = ", ".join(name for name in _IDENTITY if other[name] != getattr(record, name))
    return f"the sealed file and the manifest differ in {names}; fetch both from one release, or seal the case again"


def _format_of(content: Content) -> int:
    return _FILE if isinstance(content, bytes) else _PARTS


def _check_names(record: CaseRecord, original: Content) -> None:
    """Refuse names with folders: whoever has the key could have sealed slices that would be written elsewhere."""
    names = () if isinstance(original, bytes) else original.keys()
    if (channels := joint_files(Path(record.source))) and names != channels.keys():
        raise CaseError(record.id, f"the sealed channels are {sorted(names)}, not those of {record.source}")
    if names == set(PAIR) and Path(record.source).suffix.lower() in PAIR:
        return
    for name in names:
        if not name or name.startswith(".") or "\0" in name or Path(name).name != name:
            reason = f"the sealed series has a slice {name!r}, which is no plain file name; do not trust this release"
            raise CaseError(record.id, reason)
