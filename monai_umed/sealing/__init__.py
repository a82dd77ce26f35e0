"""Undo: what brings originals back, under the key of their owner."""
