"""Impact-crater science on rasters larger than memory: an xarray accessor on dask.

``import xcrater`` gives every `xarray.DataArray` a ``.craters`` accessor. See `CraterDatabase` for the crater
table and its regions, `open_mosaic` for opening rasters, `sample_data` for files to try it on. `all_bodies` lists the
names of the bodies that a table may be on.
"""

from typing import Any

from xcrater import tutorial
from xcrater.accessor import CratersAccessor
from xcrater.database import CraterDatabase
from xcrater.engine.neighbours import Exclude
from xcrater.geometry.bodies import body_names
from xcrater.options import set_options
from xcrater.pixels.container import open_arrays
from xcrater.raster.mosaic import open_mosaic
from xcrater.raster.sample import sample_data

__version__ = "0.1.0"

__all__ = [
    "CraterDatabase",
    "CratersAccessor",
    "Exclude",
    "all_bodies",
    "open_arrays",
    "open_mosaic",
    "sample_data",
    "set_options",
    "tutorial",
]


def __getattr__(name: str) -> Any:
    """Make `all_bodies` when it is first asked for, since PROJ's database takes a moment to list them."""
    if name == "all_bodies":
        return body_names()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
