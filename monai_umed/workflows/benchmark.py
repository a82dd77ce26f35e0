"""Compare protectors on the same files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.user_cache import user_cache
from .bundle import as_fraction

if TYPE_CHECKING:
    from ..evaluation.benchmark.rows import BenchmarkRow


def benchmark(
    datasets: Sequence[str | Path],
    output: str | Path,
    *,
    protectors: Sequence[str],
    exploiters: Sequence[str] = ("unet-batch",),
    defenses: Sequence[str] = ("none", "blur-1.0", "jpeg-60"),
    seeds: Sequence[int] = (0,),
    eps: float | str = 4 / 255,
    psnr: float | None = None,
    bound: str | None = None,
    grid: Sequence[int] | None = None,
    network_size: str = "small",
    recipe: str = "fast",
    epochs: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    cache: bool = True,
    progress: bool = True,
) -> list[BenchmarkRow] | None:
    """Compare protectors by what exploiters still learn from their files, by visibility and by cost.

    ``results.csv``, ``results.md`` and ``dice_over_psnr.png`` are written to ``output``. An interrupted benchmark is
    continued.

    Args:
        datasets: folders, each with a training and a test section.
        output: folder of this benchmark.
        protectors: names as in `monai-umed list`, with optional arguments or a bound: ``"em@roi"``, ``"lsp:seed=1"``.
        exploiters, defenses: names as in `monai-umed list`.
        seeds: seeds of the trainings, one training for each.
        eps: largest change of a pixel as a fraction of the intensity window, the same for all: 0.0157 or ``"4/255"``.
        psnr: PSNR in dB for a second comparison, with an eps for each protector that reaches it.
        bound: bound of protectors that name none: ``"full"``, ``"roi"``, ``"band"`` or ``"lbp"``.
        grid: grid of fits and trainings, in pixels. Default: determined from each dataset.
        network_size: ``"small"`` or ``"paper"``.
        recipe: ``"fast"``, 15 epochs, or ``"paper"``, 150 epochs with a tenth of the learning rate.
        epochs: replaces that of the recipe.
        device: where to train. Default: a GPU, if there is one.
        workers: number of trainings at the same time; fits run alone.
        cache: whether trainings on clean files that earlier runs on this machine have done are used, see
            :func:`monai_umed.io.user_cache.user_cache`.
        progress: whether to show progress bars.

    Returns:
        The rows of ``results.csv``; None if parts on other machines are still missing.

    Raises:
        DatasetError: If a dataset cannot be used.
        ValueError: If a name is unknown, a number out of range, or the output folder belongs to another benchmark.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=12, num_test=10)
        >>> quick = {"defenses": ["none"], "epochs": 1, "grid": (32, 32), "workers": 1, "progress": False}
        >>> rows = mu.benchmark([data], work / "out", protectors=["constant-stamp"], **quick)
        Trainings to run: 2, 1 at a time...
        >>> sorted({row.protector for row in rows})
        ['clean', 'constant-stamp']
    """
    from ..evaluation.benchmark.plan import Benchmark
    from ..evaluation.benchmark.run import run_benchmark
    from ..exploiters.train import RECIPES
    from ..training.devices import usual_device

    if recipe not in RECIPES:
        raise ValueError(f"recipe is {recipe!r}; it must be one of {', '.join(RECIPES)}.")
    plan = Benchmark(
        datasets=tuple(map(str, datasets)),
        protectors=tuple(protectors),
        exploiters=tuple(exploiters),
        defenses=tuple(defenses),
        seeds=tuple(seeds),
        eps=as_fraction(eps),
        psnr=psnr,
        bound=bound,
        grid=None if grid is None else tuple(grid),
        network_size=network_size,
        recipe={**RECIPES[recipe], **({} if epochs is None else {"epochs": epochs})},
        device=str(usual_device() if device is None else device),
    )
    return run_benchmark(plan, output, workers=workers, progress=progress, cache=user_cache() if cache else None)
