"""Read and write image files exactly: bytes, and the stored values between them."""
