"""Exact files: bytes in, bytes out, and the grey levels between."""
