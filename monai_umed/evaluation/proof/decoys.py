"""The test of the key: does a model answer to the pattern of this key more than to those of keys drawn like it?

Exact: under the null hypothesis, a model that never saw the release, the true key is one of ``m + 1`` that were drawn
alike and dealt alike, so its rank among them is uniform. All queries are fixed before the first answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .permutation import upper_p


@dataclass(frozen=True)
class Answers:
    """What a model made of every region, arrays of one length.

    Attributes:
        response: share of the region, or mean probability, that the model took for structure, in [0, 1].
        key: number of the key whose tile lay there.
        image: number of the query image.
    """

    response: np.ndarray
    key: np.ndarray
    image: np.ndarray


def key_strengths(answers: Answers, keys: int) -> np.ndarray:
    """Mean response to each key above the mean of its images; -infinity for a key that got no answer."""
    count = np.maximum(np.bincount(answers.image), 1)
    level = np.bincount(answers.image, answers.response) / count
    centered = answers.response - level[answers.image]
    regions = np.bincount(answers.key, minlength=keys)
    total = np.bincount(answers.key, centered, minlength=keys)
    return np.where(regions > 0, total / np.maximum(regions, 1), -np.inf)


def decoy_p(strengths: np.ndarray, true_key: int) -> float:
    """One plus the decoys that are at least as strong, over the number of keys."""
    return (
        upper_p(float(strengths[true_key]), np.delete(strengths, true_key)) if np.isfinite(strengths[true_key]) else 1.0
    )
