"""Seal originals under the key of their owner, and restore them."""
