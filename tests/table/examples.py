"""Small crater tables that the tests of the table package share."""

from __future__ import annotations

import pandas as pd


def table(**columns):
    """Three craters; keywords add columns or replace lat, lon and r, and None removes one of these."""
    every = {"lat": [0.0, -43.3, 89.0], "lon": [0.0, 348.8, -180.0], "r": [5e3, 42.5e3, 1e3]} | columns
    return pd.DataFrame({name: values for name, values in every.items() if values is not None})


def headed(*columns):
    """A table of plausible numbers under the given headers."""
    return pd.DataFrame([range(1, len(columns) + 1)] * 2, columns=list(columns), dtype=float)
