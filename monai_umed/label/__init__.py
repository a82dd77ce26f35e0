"""Tasks for a MONAI Label server: fit, protect and score where images are annotated.

The rest of the package and the bundle use `folder` and `listed_files` only, which need no MONAI Label.
"""
