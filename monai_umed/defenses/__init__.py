"""Defenses: what an exploiter may do to overcome the protection."""

from .base import Composed, Defense, Items, Materials, Objective
from .registry import DEFENSES, Entry, defense_entry

__all__ = ["DEFENSES", "Composed", "Defense", "Entry", "Items", "Materials", "Objective", "defense_entry"]
