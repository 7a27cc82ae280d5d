"""Pixels of craters: as lazy blocks, as images, or passed to a function."""
