"""Crater tables are read from files, and their unusable rows are reported or dropped."""

from __future__ import annotations

import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.table.examples import table
from xcrater.database import CraterDatabase
from xcrater.errors import DroppedRowsWarning, TableError


class TestFiles:
    """Reading tables from files."""

    @pytest.mark.parametrize("suffix", [".csv", ".TSV", ".tab", ".txt", ".parquet"])
    def test_every_format_gives_the_same_table(self, tmp_path, suffix):
        frame, path = table(name=["a", "b", "ç"]), tmp_path / f"craters{suffix}"
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t", encoding="utf-8-sig")
        assert CraterDatabase(path, "moon") == CraterDatabase(str(path), "moon") == CraterDatabase(frame, "moon")

    def test_old_encodings_are_read(self, tmp_path):
        path = tmp_path / "craters.csv"
        path.write_bytes("name, lat, lon, r\nFabricius é, 1, 2, 3\n".encode("latin-1"))
        assert CraterDatabase(path, "moon").lat.tolist() == [1.0]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("none.csv", None, "none.csv'; there is no such file"),
            ("craters.shp", b"", "craters.shp' cannot be read as a vector file"),
            ("craters.xlsx", b"", r"expected a file that ends in .csv, .tsv, .tab, .txt or .parquet, or a vector"),
            ("empty.csv", b"", "cannot be read as a comma-separated table: No columns"),
            ("ragged.tsv", b"lat\tlon\n1\t2\n1\t2\t3\t4\n1\t2\t3\t4\t5\n", "cannot be read as a tab-separated table"),
            ("bad.parquet", b"PAR?", "cannot be read as a Parquet table"),
        ],
    )
    def test_unreadable_files(self, tmp_path, name, content, message):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(TableError, match=message):
            CraterDatabase(tmp_path / name, "moon")

    def test_the_error_for_a_relative_path_says_where_it_looked(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(TableError, match=f"'none.csv'; there is no such file in {re.escape(str(tmp_path))}"):
            CraterDatabase("none.csv", "moon")

    def test_datasets_of_other_types_are_refused(self):
        with pytest.raises(TableError, match=r"dataset of type list; expected a pandas.DataFrame or the path"):
            CraterDatabase([1, 2], "moon")
        with pytest.raises(TableError, match="the DataFrame has no columns; expected one row per crater, and a header"):
            CraterDatabase(pd.DataFrame(), "moon")

    def test_a_table_left_empty_by_a_filter_is_a_falsy_database(self, tmp_path):
        """As in craterpy: loops over classes or tiles make such tables and write them to files."""
        frame, path = table().iloc[:0], tmp_path / "none.csv"
        frame.to_csv(path, index=False)
        for dataset in (frame, path):
            cdb = CraterDatabase(dataset, "moon")
            assert (len(cdb), bool(cdb), cdb.lat.tolist()) == (0, False, [])

    def test_parquet_without_pyarrow_names_the_extra(self, tmp_path, monkeypatch):
        (tmp_path / "craters.parquet").touch()
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r"xcrater\[parquet\]"):
            CraterDatabase(tmp_path / "craters.parquet", "moon")


class TestRows:
    """Rows that cannot be used."""

    @pytest.mark.parametrize(
        ("column", "value", "reason"),
        [
            ("lat", "12 N", "'lat' is not a number"),
            ("lat", None, "'lat' is missing"),
            ("lat", 90.5, "'lat' is beyond ±90°"),
            ("lon", np.inf, "'lon' is infinite"),
            ("lon", np.nan, "'lon' is missing"),
            ("r", 0.0, "'r' is 0 or less"),
            ("r", -3.0, "'r' is 0 or less"),
            ("r", 5.5e6, "'r' in m makes a radius of more than half the circumference of moon, 5458.2 km"),
        ],
    )
    def test_unusable_row(self, column, value, reason):
        frame = table().astype(object)
        frame.loc[1, column] = value
        message = f"1 of 3 rows cannot be used. {reason}: 1 row (1). Correct them, or leave them out with errors='drop'"
        with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
            CraterDatabase(frame, "moon")
        message = f"dropped 1 of 3 rows. {reason}: 1 row (1)"
        with pytest.warns(DroppedRowsWarning, match=f"^{re.escape(message)}$") as caught:
            kept = CraterDatabase(frame, "moon", errors="drop")
        assert caught[0].filename == __file__
        assert kept.data.index.tolist() == [0, 2]

    def test_many_unusable_rows_are_counted_by_reason(self):
        frame = pd.concat([table()] * 4, ignore_index=True)
        frame.loc[1:8, "r"] = -1.0
        frame.loc[8, "lat"] = 99.0
        with pytest.raises(
            TableError, match=r"8 of 12 .* beyond ±90°: 1 row \(8\); 'r' is 0 or less: 8 rows \(1, 2, 3, 4, 5, …\)"
        ):
            CraterDatabase(frame, "moon")

    def test_a_table_without_a_usable_row_is_refused(self):
        with pytest.raises(TableError, match=r"none of the 3 rows can be used. 'r' is 0 or less: 3 rows .* Check the"):
            CraterDatabase(table(r=[-1, 0, 0]), "moon", errors="drop")

    def test_positions_outside_the_projection_are_reported(self):
        frame = table(lat=None, lon=None, x=[0.0, 1e7, 0.0], y=0.0)
        with pytest.raises(TableError, match=r"the position is outside the projection: 1 row \(1\)"):
            CraterDatabase(frame, "moon", "+proj=ortho +R=1737400")

    def test_text_and_nullable_columns_are_read_as_numbers(self):
        frame = table().convert_dtypes()
        frame["lat"] = frame["lat"].astype(str)
        assert CraterDatabase(frame, "moon").lat.tolist() == [0.0, -43.3, 89.0]

    @pytest.mark.parametrize("errors", ["raise", "drop"])
    def test_foreign_byte_order(self, errors):
        """FITS tables are big-endian, and pandas cannot select rows of such columns (pandas-dev/pandas#9989)."""
        frame = table(r=[5e3, 42.5e3, -1.0 if errors == "drop" else 1e3])
        swapped = pd.DataFrame({name: values.to_numpy().astype(">f4") for name, values in frame.items()})
        swapped.index = pd.Index(np.arange(3).astype(">i8"), name="crater")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DroppedRowsWarning)
            found, wanted = (CraterDatabase(f, "moon", errors=errors) for f in (swapped, frame.astype("f4")))
        for cdb in (found, wanted):
            cdb.add_circles("disc")
            cdb.data = cdb.data[cdb.data["_lat"] < 50].sort_values("_lat")
        assert found.data.to_numpy().tolist() == wanted.data.to_numpy().tolist()
        assert len(found.disc) == 2
