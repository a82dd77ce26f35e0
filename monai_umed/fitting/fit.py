"""Fit any method besides UMed, or take up what an earlier run has fitted: what the bundle's ``method.json`` runs."""

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
"""Arguments that have ids of their own in the bundle, or follow from the files."""


def bounded_class(method: str) -> type[BoundedProtector]:
    """The class of a method that takes a bound.

    Raises:
        ValueError: if there is no such method (the nearest name is offered), or it is UMed.
    """
    found = protector_class(method)
    if not issubclass(found, BoundedProtector):
        raise ValueError(f"method is {method!r}, whose contour and texture bounds are its own; use train.json alone.")
    return found


def parse_method(text: str) -> dict[str, Any]:
    """A method with arguments, such as ``"constant-stamp:period=2"``, as ids of the bundle's ``method.json``.

    Args:
        text: name, then ``:argument=value`` for each one. Values are read as JSON, and as text where they are none.

    Raises:
        ValueError: there is no such method or argument (the nearest name is offered), or the argument is set by an
            option of all methods.
    """
    method, *arguments = text.split(":")
    known = [name for name in bounded_class(method).argument_names() if name not in OF_ALL]
    settings: dict[str, Any] = {"method": method}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign or name not in known:
            raise ValueError(
                f"{argument!r} is no argument of {method}; give name=value with one of {', '.join(known)}."
                f"{did_you_mean(name, known)}"
            )
        try:
            settings[f"protector#{name}"] = json.loads(value)
        except ValueError:
            settings[f"protector#{name}"] = value
    return settings


def check_method(protector: Protector, section: str, pattern_key: str | None = None) -> None:
    """Refuse settings that a method cannot follow, before anything takes minutes, and let a key choose.

    Args:
        protector: not fitted yet; a tint takes its choice from the key, if there is one.
        section: what is to be protected; fits are always to ``"train"``.
        pattern_key: file of a pattern key, which UMed's generators start from and a tint is chosen by.

    Raises:
        KeyFileError: if the key cannot be used.
        ValueError: a method that cannot protect new images is asked for other cases than those of its fit, or a key is
            given that the method has no use for.
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
    """Refuse a bound and an eps that together leave no case a single grey level.

    Args:
        protector: whose bounds the items hold.
        items: see :attr:`monai_umed.data.training_set.TrainingSet.items`.

    Raises:
        ValueError: every bound of every item is zero.
    """
    if not any(bool(item["bounds"].any()) for item in items):
        raise ValueError(
            f"eps {protector.eps * 255:.3g}/255 and the bound of {protector!r} contradict each other: in none of "
            f"{len(items)} training images may a pixel change by a whole grey level. Raise eps, or choose a wider "
            "bound."
        )


def fit_method(
    protector: Protector,
    load: Load,
    checkpoint: str | Path,
    record: Mapping[str, Any],
    device: str | torch.device = "cpu",
    progress: bool = True,
    adjust: Callable[[Protector], object] | None = None,
) -> Protector:
    """Fit a protector and save it; one that lies there already is loaded instead.

    A fit is not resumed: interrupted, it starts anew. Methods that need nothing read no training set.

    Args:
        protector: not fitted yet.
        load: reads the training set with the protector's bounds.
        checkpoint: file for the fitted protector, of a folder that was claimed for exactly these settings.
        record: where it comes from, see :func:`monai_umed.protectors.checkpoint.save_protector`.
        device: where a surrogate is trained.
        progress: whether to show progress bars.
        adjust: what is done to the fitted protector before it is saved.

    Raises:
        DatasetError: if no case is usable.
        ValueError: if bound and eps leave nothing to change, or the fit refuses the cases.
    """
    path = Path(checkpoint)
    if path.is_file():
        return load_protector(path, device)
    if isinstance(protector, SurrogateProtector):
        protector.device = str(device)
    if protector.needs is not Needs.nothing:
        # Exploiters see volumes voxel by voxel, and so must what is fitted against them.
        items = load(layout="windows" if getattr(protector, "native", False) else "resampled").items
        check_budget(protector, items)
        protector.fit(items, progress)
    if adjust is not None:
        adjust(protector)
    save_protector(path, protector, dict(record))
    return protector
