"""Tasks for a MONAI Label server: fit, protect and score where images are annotated.

Nothing here is imported by the rest of the package but `folder`, which needs no MONAI Label.
"""
