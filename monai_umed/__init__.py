"""Publish segmentation datasets that people can look at but nobody can usefully train on.

Everything that a user needs is here, ``import monai_umed as mu``; what is below is for those who change the package.
Names load what they need when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.case import Case, CaseError, DatasetError
    from .data.cases import find_cases, find_sections
    from .data.manifest import CaseRecord, Manifest, ManifestError, Quarantined
    from .data.phantom import phantom_dir, write_phantom
    from .data.two_folders import DatasetDir, as_dataset, places_of
    from .data.windows import as_window
    from .io.bundle_folder import bundle_root
    from .io.once import reading_once
    from .io.stored import CodecError
    from .label.folder import write_label_app
    from .protectors.base import Protector
    from .protectors.checkpoint import load_protector
    from .release.protect_on_dask import ClusterError
    from .release.verify import Problem
    from .sealing.keys import KeyFileError, read_key
    from .sealing.restore import CaseReport
    from .sealing.restored_dataset import RestoredDataset
    from .sealing.sealed_json import ProofError
    from .transforms.array import ApplyPerturbation, ContourBand, LBPBound, UMedProtect
    from .transforms.dictionary import ApplyPerturbationd, ContourBandd, LBPBoundd, UMedProtectd
    from .transforms.restore import UMedRestore, UMedRestored
    from .workflows.advise import advise
    from .workflows.audit import audit
    from .workflows.benchmark import benchmark
    from .workflows.bundle import show_plain_errors
    from .workflows.fit import Fit, fit
    from .workflows.names import list_names
    from .workflows.options import FitOptions, OptionError
    from .workflows.presets import PRESETS
    from .workflows.protect import Release, protect
    from .workflows.prove import Proven, predict, prove, recheck
    from .workflows.queries import Asked, queries
    from .workflows.reserve import HeldBack, reserve
    from .workflows.undo import find_protected, new_key, restore, seal
    from .workflows.verify import load_manifest, verify

# Where each name is, for those who ask for it; the imports above say the same to type checkers, and a test compares.
_HOMES = {
    "workflows.bundle": ("show_plain_errors",),
    "data.windows": ("as_window",),
    "io.bundle_folder": ("bundle_root",),
    "io.once": ("reading_once",),
    "label.folder": ("write_label_app",),
    "workflows.names": ("list_names",),
    "data.case": ("Case", "CaseError", "DatasetError"),
    "data.cases": ("find_cases", "find_sections"),
    "data.manifest": ("CaseRecord", "Manifest", "ManifestError", "Quarantined"),
    "data.phantom": ("phantom_dir", "write_phantom"),
    "sealing.sealed_json": ("ProofError",),
    "data.two_folders": ("DatasetDir", "as_dataset", "places_of"),
    "io.stored": ("CodecError",),
    "protectors.base": ("Protector",),
    "protectors.checkpoint": ("load_protector",),
    "release.protect_on_dask": ("ClusterError",),
    "release.verify": ("Problem",),
    "sealing.keys": ("KeyFileError", "read_key"),
    "sealing.restore": ("CaseReport",),
    "sealing.restored_dataset": ("RestoredDataset",),
    "transforms.array": ("ApplyPerturbation", "ContourBand", "LBPBound", "UMedProtect"),
    "transforms.dictionary": ("ApplyPerturbationd", "ContourBandd", "LBPBoundd", "UMedProtectd"),
    "transforms.restore": ("UMedRestore", "UMedRestored"),
    "workflows.advise": ("advise",),
    "workflows.audit": ("audit",),
    "workflows.benchmark": ("benchmark",),
    "workflows.fit": ("Fit", "fit"),
    "workflows.options": ("FitOptions", "OptionError"),
    "workflows.presets": ("PRESETS",),
    "workflows.protect": ("Release", "protect"),
    "workflows.prove": ("Proven", "predict", "prove", "recheck"),
    "workflows.queries": ("Asked", "queries"),
    "workflows.reserve": ("HeldBack", "reserve"),
    "workflows.undo": ("find_protected", "new_key", "restore", "seal"),
    "workflows.verify": ("load_manifest", "verify"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        try:
            return version("monai_umed")
        except PackageNotFoundError:  # a checkout that was never installed
            return "unknown"
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value  # so that the next look finds it
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
