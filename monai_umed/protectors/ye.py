"""The three strategies of Ye et al. (arXiv 2303.02559), in our reading."""

from __future__ import annotations

from typing import ClassVar

from .em import EM, ClassWiseEM
from .lsp import LSP

PAPER = "Ye et al. 2023, arXiv 2303.02559 (our reading)"


class YeSampleWise(EM):
    """Bi-level noise per case: :class:`monai_umed.protectors.em.EM` under the name of Ye et al. (arXiv 2303.02559).

    The paper makes biomedical images unlearnable by bi-level optimization with three strategies, whose details were not
    available. Our reading takes the three families of its time: noise per case, per class, and a synthetic pattern.
    """

    paper: ClassVar[str] = PAPER


class YeClassWise(ClassWiseEM):
    """Bi-level noise per class: :class:`monai_umed.protectors.em.ClassWiseEM`; see :class:`YeSampleWise`."""

    paper: ClassVar[str] = PAPER


class YeSynthetic(LSP):
    """A synthetic pattern per class: :class:`monai_umed.protectors.lsp.LSP`; see :class:`YeSampleWise`."""

    paper: ClassVar[str] = PAPER
