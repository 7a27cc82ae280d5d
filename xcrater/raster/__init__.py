"""Rasters: their grids, their values and their files."""
