"""Bodies, grids and projections: where regions and pixels lie."""
