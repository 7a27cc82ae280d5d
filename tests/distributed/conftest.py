"""A cluster of two worker processes, and a table of craters that spread over many tiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from xcrater import CraterDatabase


@pytest.fixture(scope="package")
def client():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="package")
def cdb() -> CraterDatabase:
    rng = np.random.default_rng(5)
    n = 300
    table = pd.DataFrame(
        {
            "lat": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
            "lon": rng.uniform(-180, 180, n),
            "radius": rng.uniform(5e3, 300e3, n),
        }
    )
    cdb = CraterDatabase(table, "moon")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_annuli("true_ejecta", 1, 3, nvert=None)
    return cdb
