"""The plan of one test: which query is what, known to the owner of the key alone until the proof is made."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...io.atomic import write_atomically
from ...sealing.sealed_json import ProofError, open_json, seal_json
from .permutation import Lot
from .reserve import Reserve
from .tiles import Pattern, Region

PLAN, IMAGES = "plan.sealed", "images"
"""Names in the folder of queries: what stays with the owner, and what goes to whoever runs the model."""
FORMAT = 1
Kind = Literal["clean", "protected", "tiles"]

_PURPOSE = "plan"


@dataclass(frozen=True, kw_only=True)
class QueriedCase:
    """A case whose images are among the queries.

    Attributes:
        id: its name in the dataset.
        features: see :func:`monai_umed.evaluation.proof.hardness.features_of`, and the Dice of the owner's models.
        shape: of the image, without channels.
        mask: class numbers, packed by :func:`pack`.
    """

    id: str
    features: tuple[float, ...]
    shape: tuple[int, ...]
    mask: str

    @property
    def label(self) -> np.ndarray:
        """Class numbers, uint8 of :attr:`shape`."""
        flat = np.frombuffer(zlib.decompress(base64.b64decode(self.mask)), np.uint8)
        return flat.reshape(self.shape)


def pack(label: np.ndarray) -> str:
    """Class numbers as text."""
    return base64.b64encode(zlib.compress(label.astype(np.uint8).tobytes(), 9)).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Query:
    """One image that the model is asked about.

    Attributes:
        name: of its file.
        case: number of the case in the plan.
        kind: what was done to it.
        sha256: checksum of the file.
        regions: tiles that lie on it.
    """

    name: str
    case: int
    kind: Kind
    sha256: str
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked.

    Attributes:
        number: of the test among all under this reserve, from 1 on.
        time: when the queries were written, UTC.
        reserve: what the release is committed to.
        cases: those with queries.
        drawn: ids of all cases that were drawn for the test, those that could not be used among them.
        total_target: cases up to which groups were drawn, see :class:`monai_umed.evaluation.proof.permutation.Lot`.
        queries: what was written, sorted by name.
        pattern: how the release lays out the pattern of its key; None if it has none.
        keys: keys whose tiles were dealt, the true one included.
        true_key: number of the true one.
        num_classes: classes of the masks, background included.
        format: version of the layout.
    """

    number: int
    time: str
    reserve: Reserve
    cases: tuple[QueriedCase, ...]
    drawn: tuple[str, ...]
    total_target: int
    queries: tuple[Query, ...]
    pattern: Pattern | None
    keys: int
    true_key: int
    num_classes: int = 2
    format: int = FORMAT

    @property
    def held_back(self) -> np.ndarray:
        """Whether each case is in the reserve, bool ``(cases,)``."""
        return np.isin([case.id for case in self.cases], self.reserve.held_back)

    @property
    def features(self) -> np.ndarray:
        """One row per case."""
        return np.array([case.features for case in self.cases], float)

    def lot(self) -> tuple[Lot, np.ndarray]:
        """How all drawn cases were divided, and where among them each case with queries is."""
        names = sorted({self.reserve.groups[id] for id in self.drawn})
        numbers = {name: number for number, name in enumerate(names)}
        place = {id: index for index, id in enumerate(self.drawn)}
        lot = Lot(
            groups=np.array([numbers[self.reserve.groups[id]] for id in self.drawn]),
            held_back=np.isin(self.drawn, self.reserve.held_back),
            reserve_target=self.reserve.target,
            total_target=self.total_target,
        )
        return lot, np.array([place[case.id] for case in self.cases])

    def save(self, folder: Path, key: bytes) -> None:
        """Seal it beside the queries."""
        write_atomically(folder / PLAN, seal_json(asdict(self), key, _PURPOSE), private=True)

    @staticmethod
    def load(folder: Path, key: bytes) -> Plan:
        """Open the file that :meth:`save` wrote.

        Raises:
            ProofError: If there is none, it is of another key, damaged, or of a newer version.
        """
        path = folder / PLAN
        if not path.is_file():
            raise ProofError(f"{path}: no such file; name the folder that `monai-umed queries` wrote")
        return Plan.open(path.read_bytes(), key, name=path.name)

    @staticmethod
    def open(sealed: bytes, key: bytes, *, name: str) -> Plan:
        """Open a sealed plan that is in memory; errors as :meth:`load`."""
        content = open_json(sealed, key, _PURPOSE, name=name)
        if content["format"] > FORMAT:
            raise ProofError(f"{name}: format {content['format']}, this version reads {FORMAT}; update the package")
        return Plan(**_parse(content))


def _parse(content: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as what :class:`Plan` takes; they are authenticated, so they are what it once was."""
    pattern = content["pattern"]
    if pattern is not None:
        pattern = Pattern(**{**pattern, "grid": None if pattern["grid"] is None else tuple(pattern["grid"])})
    return {
        **content,
        "reserve": Reserve.parse(content["reserve"]),
        "cases": tuple(QueriedCase(**_tuples(case, "features", "shape")) for case in content["cases"]),
        "drawn": tuple(content["drawn"]),
        "queries": tuple(
            Query(**{**query, "regions": tuple(map(_region, query["regions"]))}) for query in content["queries"]
        ),
        "pattern": pattern,
    }


def _tuples(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**fields, **{name: tuple(fields[name]) for name in names}}


def _region(fields: Mapping[str, Any]) -> Region:
    ends: Sequence[Sequence[int]] = fields["box"]
    return Region(fields["key"], fields["strength"], tuple((first, last) for first, last in ends))
