"""Proof of use: whether a model was trained on a release, with exact control of false accusations."""
