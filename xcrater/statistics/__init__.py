"""Statistics of the pixels in each crater's regions."""
