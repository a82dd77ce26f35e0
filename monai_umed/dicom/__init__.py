"""DICOM files, series and segmentations."""
