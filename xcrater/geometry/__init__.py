"""Bodies, grids and projections: the positions of regions and pixels."""
