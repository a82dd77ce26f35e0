"""One sealed case: what comes back is the original, and what goes wrong is told apart."""

from __future__ import annotations

import dataclasses
import hashlib
import traceback
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.data.case import CaseError
from monai_umed.data.manifest import CaseRecord
from monai_umed.sealing import seal
from monai_umed.sealing.seal import ChangedFileError, DamagedError, SwappedError, WrongKeyError, open_case, seal_case

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
ORIGINAL, PROTECTED = b"header" + bytes(range(250)), b"header" + bytes(range(1, 251))

contents = st.binary(max_size=300)
keys = st.binary(min_size=32, max_size=32)


def describe(original: bytes, protected: bytes, case_id: str = "a") -> CaseRecord:
    return CaseRecord(
        id=case_id,
        image=f"images/{case_id}.png",
        label=f"masks/{case_id}.png",
        source=f"{case_id}.jpg",
        sha256_before=hashlib.sha256(original).hexdigest(),
        sha256_after=hashlib.sha256(protected).hexdigest(),
        label_sha256=hashlib.sha256(b"mask").hexdigest(),
        shape=(1, 16, 16),
        dtype="uint8",
        intensity_window=(0, 255),
        max_abs_delta=4,
        psnr=40.0,
        ssim=0.99,
        perturbed_fraction=0.1,
    )


RECORD = describe(ORIGINAL, PROTECTED)
SEALED = seal_case(ORIGINAL, PROTECTED, RECORD, KEY)


def with_checksum(body: bytes) -> bytes:
    """A forger's file: the checksum needs no key."""
    return body + hashlib.sha256(body).digest()


@settings(max_examples=200, deadline=None)
@given(contents, contents, keys)
def test_opening_gives_the_sealed_original(original: bytes, protected: bytes, key: bytes) -> None:
    record = describe(original, protected)
    assert open_case(seal_case(original, protected, record, key), protected, record, key) == original


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8 * len(SEALED) - 1))
def test_any_flipped_bit_is_damage(bit: int) -> None:
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedError, match=r"damaged.*fetch it again"):
        open_case(bytes(flipped), PROTECTED, RECORD, KEY)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SEALED) - 1), st.booleans())
def test_any_truncated_file_is_damage_even_with_a_forged_checksum(size: int, forged: bool) -> None:
    with pytest.raises(DamagedError):
        open_case(with_checksum(SEALED[: max(0, size - 32)]) if forged else SEALED[:size], PROTECTED, RECORD, KEY)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8 * (len(SEALED) - 32) - 1))
def test_a_forged_checksum_never_gives_a_result(bit: int) -> None:
    flipped = bytearray(SEALED[:-32])
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CaseError):
        open_case(with_checksum(bytes(flipped)), PROTECTED, RECORD, KEY)


@settings(max_examples=200, deadline=None)
@given(keys.filter(lambda key: key != KEY))
def test_any_other_key_is_a_wrong_key(key: bytes) -> None:
    with pytest.raises(WrongKeyError, match="another key"):
        open_case(SEALED, PROTECTED, RECORD, key)


@settings(max_examples=200, deadline=None)
@given(st.text().filter(lambda name: name != RECORD.id))
def test_the_file_of_any_other_case_is_swapped(case_id: str) -> None:
    with pytest.raises(SwappedError, match="case 'a'; put the files back"):
        open_case(SEALED, PROTECTED, dataclasses.replace(RECORD, id=case_id), KEY)


@pytest.mark.parametrize("name", ["image", "label", "source", "sha256_before", "sha256_after", "label_sha256"])
def test_a_manifest_of_other_names_or_checksums_is_swapped(name: str) -> None:
    other: dict[str, Any] = {name: "0" * 64}
    with pytest.raises(SwappedError, match=f"differ in {name};"):
        open_case(SEALED, PROTECTED, dataclasses.replace(RECORD, **other), KEY)


def test_figures_of_the_manifest_may_change() -> None:
    assert open_case(SEALED, PROTECTED, dataclasses.replace(RECORD, psnr=None, note="x"), KEY) == ORIGINAL


def test_a_changed_public_file_is_told_from_a_damaged_sealed_one() -> None:
    with pytest.raises(ChangedFileError, match="protected image"):
        open_case(SEALED, PROTECTED + b"!", RECORD, KEY)


@pytest.mark.parametrize(
    ("original", "protected", "name"), [(b"x", PROTECTED, "original"), (ORIGINAL, b"x", "protected image")]
)
def test_other_files_than_those_of_the_manifest_are_not_sealed(original: bytes, protected: bytes, name: str) -> None:
    with pytest.raises(ChangedFileError, match=f"the {name} is not"):
        seal_case(original, protected, RECORD, KEY)


def test_nothing_but_the_original_is_ever_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(seal._CODECS, 1, (lambda original, protected: b"\0\0other", seal.decode_file))
    sealed = seal_case(ORIGINAL, PROTECTED, RECORD, KEY)
    with pytest.raises(ChangedFileError, match="restored original"):
        open_case(sealed, PROTECTED, RECORD, KEY)


def test_sealing_twice_uses_another_nonce_and_shares_no_bytes_but_the_public_ones() -> None:
    again = seal_case(ORIGINAL, PROTECTED, RECORD, KEY)
    public = seal._PREFIX.size + len(seal._identity(RECORD))
    assert open_case(again, PROTECTED, RECORD, KEY) == ORIGINAL
    first, second = (seal._PREFIX.unpack_from(sealed) for sealed in (SEALED, again))
    assert first[2] != second[2], "nonce"
    assert first[3] != second[3], "the key check must not show that two files share a key"
    same = sum(a == b for a, b in zip(SEALED[public:], again[public:], strict=True))
    assert same < 0.1 * len(SEALED[public:])


def test_every_case_has_a_key_of_its_own() -> None:
    records = [RECORD, describe(ORIGINAL, PROTECTED, "b"), describe(PROTECTED, ORIGINAL)]
    assert len({seal._case_key(KEY, seal._identity(record)) for record in records} | {KEY}) == 4


def test_a_newer_format_asks_for_an_update() -> None:
    newer = bytearray(SEALED[:-32])
    newer[len(seal._MAGIC)] = 3
    with pytest.raises(CaseError, match=r"format 3, this version reads 1 to 2; update"):
        open_case(with_checksum(bytes(newer)), PROTECTED, RECORD, KEY)


def test_more_than_one_message_of_the_cipher_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "MAX_BYTES", 100)
    with pytest.raises(CaseError, match=r"must be <= 100; split"):
        seal_case(ORIGINAL, PROTECTED[::-1], describe(ORIGINAL, PROTECTED[::-1]), KEY)


@pytest.mark.parametrize("header", [b"", b"another header of another length"])
def test_a_small_change_is_sealed_small_wherever_the_pixels_begin(header: bytes) -> None:
    pixels = Random(0).randbytes(100_000)
    changed = bytes(value ^ (index % 50 == 0) for index, value in enumerate(pixels))
    original, protected = b"header" + pixels, (header or b"header") + changed
    sealed = seal_case(original, protected, describe(original, protected), KEY)
    assert len(sealed) < 0.05 * len(original)


def test_what_cannot_be_compressed_grows_by_a_header_only() -> None:
    original = Random(0).randbytes(100_000)
    assert len(seal_case(original, PROTECTED, describe(original, PROTECTED), KEY)) < len(original) + 1000


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} bytes, must be 32"):
        seal_case(ORIGINAL, PROTECTED, RECORD, bytes(size))


def test_no_error_shows_the_key() -> None:
    key = b"a key that is text, 32 bytes ...!"[:32]
    wrong = b"B" * 32
    sealed = seal_case(ORIGINAL, PROTECTED, RECORD, key)
    failures = [
        (sealed[:-1], PROTECTED, RECORD, key),
        (with_checksum(sealed[:-33]), PROTECTED, RECORD, key),
        (sealed, PROTECTED, RECORD, wrong),
        (sealed, PROTECTED, describe(ORIGINAL, PROTECTED, "b"), key),
        (sealed, b"", RECORD, key),
        (sealed, PROTECTED, RECORD, key[:20]),
    ]
    for arguments in failures:
        with pytest.raises(ValueError) as caught:
            open_case(*arguments)
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        for secret in (key, wrong):
            assert secret[:20].decode() not in shown and secret[:20].hex() not in shown
