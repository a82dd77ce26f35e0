"""A test that may be stopped at any time: for services that charge for every image.

The owner bets, case by case, on which was published. Under the null hypothesis no strategy gains on average, so that
capital of 1 / alpha is reached with a chance of alpha at most (Ville's inequality; Shafer and Vovk 2019), whenever one
looks and however one decides to stop.
"""

from __future__ import annotations

import numpy as np

from .hardness import correct

_STAKES = (0.25, 0.5, 0.75, 1.0)
_WARM_UP = 20  # cases before the first bet: a regression and a ranking need some


def capital(scores: np.ndarray, features: np.ndarray, groups: np.ndarray, held_back: np.ndarray) -> np.ndarray:
    """Capital after each case, in the order of the answers: an e-process for models that never saw the release.

    Of a group the first case that is answered counts. Given how many groups of each size were held back, every choice
    of them is as likely, so the chance that the next one was published is known: that of an urn of its size.

    Args:
        scores: one per case in the order of the answers, which must not depend on the assignment; NaN are passed over.
        features: one row per case, see :func:`monai_umed.evaluation.proof.hardness.correct`.
        groups: number of the group of every case.
        held_back: whether the case is in the reserve.

    Returns:
        One number per case; the mean over several stakes, each of which is a martingale.
    """
    sizes = np.bincount(groups)
    published_of = np.ones(len(sizes), bool)
    published_of[groups[held_back]] = False
    left = {size: [0, 0] for size in set(sizes.tolist())}  # published, all
    for group in np.unique(groups):
        left[sizes[group]][0] += published_of[group]
        left[sizes[group]][1] += 1
    stakes = np.array(_STAKES)
    money, history = np.ones(len(stakes)), np.empty(len(scores))
    seen: set[int] = set()
    for index, group in enumerate(groups):
        if group not in seen and np.isfinite(scores[index]):
            seen.add(group)
            urn = left[sizes[group]]
            chance = urn[0] / urn[1]
            past = np.flatnonzero(np.isfinite(scores[: index + 1]))
            if len(past) > _WARM_UP:
                residuals = correct(scores[past], features[past])
                rank = np.mean(residuals <= residuals[-1]) + np.mean(residuals < residuals[-1]) - 1
                money = money * (1 + stakes * rank * (published_of[group] - chance))
            urn[0] -= published_of[group]
            urn[1] -= 1
        history[index] = money.mean()
    return history
