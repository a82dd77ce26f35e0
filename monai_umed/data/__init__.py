"""Datasets on disk: find the cases, read them, and record what was done to them."""
