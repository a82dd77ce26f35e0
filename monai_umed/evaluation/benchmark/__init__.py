"""The benchmark: protectors next to each other on the same files, at equal eps and at equal PSNR."""
