"""Publish medical segmentation datasets that people can look at but nobody can usefully train on."""
