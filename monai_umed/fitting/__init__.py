"""Fit a protector to a dataset."""
