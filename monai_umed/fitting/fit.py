"""Fit any method except UMed, or load what an earlier run has fitted: the code behind the bundle's ``method.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..data.training_set import TrainingSet
from ..io.suggest import did_you_mean
from ..protectors import BoundedProtector, Needs, Protector, protector_class
from ..protectors.checkpoint import load_protector, save_protector
from ..protectors.surrogate import SurrogateProtector
from ..protectors.tint import Tint
from .pattern_key import key_number

Load = Callable[..., TrainingSet]
"""Reads a training set, see :func:`monai_umed.data.training_set.load_training_set`, in a ``layout``."""

OF_ALL = ("spatial_dims", "in_channels", "eps", "size", "bound", "num_classes", "slice_axis", "device")
"""Arguments that have their own ids in the bundle, or follow from the files."""


def bounded_class(method: str) -> type[BoundedProtector]:
    """Return the class of a method that takes a bound.

    Raises:
        ValueError: If there is no such method (the nearest name is offered), or it is UMed.
    """
    found = protector_class(method)
    if not issubclass(found, BoundedProtector):
        raise ValueError(f"method is {method!r}, whose contour and texture bounds are its own; use train.json alone.")
    return found


def parse_method(text: str) -> dict[str, Any]:
    """Parse a method with arguments, such as ``"constant-stamp:period=2"``, to ids of the bundle's ``method.json``.

    Args:
        text: name, then ``:argument=value`` for each argument. Values are parsed as JSON if possible, else as text.

    Raises:
        ValueError: If there is no such method or argument (the nearest name is offered), or the argument is set by an
            option of all methods.
    """
    method, *arguments = text.split(":")
    known = [name for name in bounded_class(method).argument_names() if name not in OF_ALL]
    settings: dict[str, Any] = {"method": method}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign or name not in known:
            raise ValueError(
                f"{argument!r} is not an argument of {method}; give name=value with one of {', '.join(known)}."
                f"{did_you_mean(name, known)}"
            )
        try:
            settings[f"protector#{name}"] = json.loads(value)
        except ValueError:
            settings[f"protector#{name}"] = value
    return settings


def check_method(protector: Protector, section: str, pattern_key: str | None = None) -> None:
    """Check settings that a method may not support, before the fit takes minutes, and let a key choose a tint.

    Args:
        protector: a protector that is not fitted yet.
        section: section to protect; fits always use ``"train"``.
        pattern_key: file of a pattern key, which UMed and tints support.

    Raises:
        KeyFileError: If the key cannot be used.
        ValueError: If a method that cannot protect new images has to protect another section, or a key is given to a
            method that does not support it.
    """
    name = type(protector).__name__
    if not protector.protects_new_images and section != "train":
        raise ValueError(
            f"section is {section!r}, but {name} makes noise for the cases of its fit alone, the section 'train'; set "
            "section to 'train', or use a method that protects new images, such as umed."
        )
    if isinstance(protector, Tint):
        protector.choose(0 if pattern_key is None else key_number(pattern_key))
    elif pattern_key is not None:
        raise ValueError(
            f"pattern_key is {pattern_key!r}, but only umed and tint start from a key, not {name}; leave it out."
        )


def check_budget(protector: Protector, items: Sequence[dict]) -> None:
    """Check that bound and eps together allow a change of at least one gray level somewhere.

    Args:
        protector: protector that computed the items' bounds.
        items: see :attr:`monai_umed.data.training_set.TrainingSet.items`.

    Raises:
        ValueError: If every bound of every item is zero.
    """
    if not any(bool(item["bounds"].any()) for item in items):
        raise ValueError(
            f"eps {protector.eps * 255:.3g}/255 and the bound of {protector!r} contradict each other: in none of "
            f"{len(items)} training images may a pixel change by a whole gray level. Raise eps, or choose a wider "
            "bound."
        )


def fit_method(
    protector: Protector,
    load: Load,
    *,
    checkpoint: str | Path,
    record: Mapping[str, Any],
    device: str | torch.device = "cpu",
    progress: bool = True,
    adjust: Callable[[Protector], object] | None = None,
) -> Protector:
    """Fit a protector and save it, or load the checkpoint if it exists.

    An interrupted fit starts again. Methods that need nothing do not read the training set.

    Args:
        protector: a protector that is not fitted yet.
        load: reads the training set with the protector's bounds.
        checkpoint: file for the fitted protector, in a folder that was claimed for exactly these settings.
        record: see :func:`monai_umed.protectors.checkpoint.save_protector`.
        device: where a surrogate is trained.
        progress: whether to show progress bars.
        adjust: function that changes the fitted protector before it is saved.

    Raises:
        DatasetError: If no case is usable.
        ValueError: If bound and eps leave nothing to change, or the fit refuses the cases.
    """
    path = Path(checkpoint)
    if path.is_file():
        return load_protector(path, device)
    if isinstance(protector, SurrogateProtector):
        protector.device = str(device)
    if protector.needs is not Needs.nothing:
        # Exploiters see volumes in native voxels, and so must what is fitted against them.
        items = load(layout="windows" if getattr(protector, "native", False) else "resampled").items
        check_budget(protector, items)
        protector.fit(items, progress)
    if adjust is not None:
        adjust(protector)
    if isinstance(protector, Tint):
        protector.announce()
    save_protector(path, protector, dict(record))
    return protector
