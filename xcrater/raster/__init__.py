"""What a raster says of itself: its grid, its values, its files."""
