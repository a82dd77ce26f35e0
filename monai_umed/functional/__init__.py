"""Pure tensor functions for 2D and 3D images, channel first: contour band, local binary patterns, bounded addition."""
