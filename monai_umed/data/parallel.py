"""Work through the cases of a dataset in threads, behind a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from .case import Case, CaseError
from .manifest import Quarantined

T = TypeVar("T")


def track(items: Iterable[T], total: int, *, title: str, unit: str = "case", disable: bool = False) -> Iterable[T]:
    """Yield the items behind a progress bar.

    Without a bar tqdm stays out of it: even a disabled one takes a lock that forked processes share, and that one which
    is killed in that moment keeps forever.
    """
    return items if disable else tqdm(items, total=total, desc=title, unit=unit, mininterval=1)


def map_cases(
    function: Callable[[Case], T],
    cases: Sequence[Case],
    *,
    title: str,
    num_workers: int,
    progress: bool,
) -> tuple[list[T], list[Quarantined]]:
    """Apply ``function`` to all cases in threads; what raises :class:`CaseError` is set aside with its reason."""

    def attempt(case: Case) -> T | Quarantined:
        try:
            return function(case)
        except CaseError as error:
            return Quarantined(case.id, error.reason)

    import torch  # here, because bars alone do without it

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // num_workers))  # nested threads would fight for the same cores
    try:
        with ThreadPoolExecutor(num_workers) as pool:
            results = list(track(pool.map(attempt, cases), len(cases), title=title, disable=not progress))
    finally:
        torch.set_num_threads(threads)
    good = [result for result in results if not isinstance(result, Quarantined)]
    return good, [result for result in results if isinstance(result, Quarantined)]
