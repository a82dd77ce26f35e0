"""The audit: would protected files survive a determined exploiter?"""

from .plan import PRESETS, Audit, Cell, preset
from .run import run_audit
from .verdict import Verdict, judge

__all__ = ["PRESETS", "Audit", "Cell", "Verdict", "judge", "preset", "run_audit"]
