"""Crater tables and the regions declared on them."""
