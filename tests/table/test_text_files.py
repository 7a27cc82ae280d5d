"""Text files of craters are read as people and programs save them."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcrater.database import CraterDatabase
from xcrater.errors import TableError

PLAIN = "lat,lon,diam_km\n10.5,20.25,30\n-4.5,130.5,25\n"


def read(tmp_path, text, name="craters.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return CraterDatabase(path, "moon", units="km")


def assert_read(cdb, diam=(30, 25)):
    assert (cdb.lat.tolist(), cdb.lon.tolist()) == ([10.5, -4.5], [20.25, 130.5])
    np.testing.assert_allclose(cdb.rad, np.array(diam) * 500.0, rtol=1e-12)


class TestNamesOfRows:
    """Files whose rows have names, as statistics programs write them."""

    @pytest.mark.parametrize(
        "text",
        [
            '"lat","lon","diam_km"\n"1",10.5,20.25,30\n"2",-4.5,130.5,25\n',  # R: write.table(sep=",")
            '"","lat","lon","diam_km"\n"1",10.5,20.25,30\n"2",-4.5,130.5,25\n',  # R: write.csv
            ",lat,lon,diam_km\n1,10.5,20.25,30\n2,-4.5,130.5,25\n",  # pandas
            "lat;lon;diam_km\nTycho;10,5;20,25;30\nPlato;-4,5;130,5;25\n",  # R: write.csv2 in part
            "lat lon diam_km\n1 10.5 20.25 30\n2 -4.5 130.5 25\n",  # R: write.table
        ],
    )
    def test_rows_with_one_cell_more_than_the_header(self, tmp_path, text):
        cdb = read(tmp_path, text)
        assert_read(cdb)
        assert list(cdb.orig_cols) == ["Unnamed: 0", "lat", "lon", "diam_km"]

    def test_tabs(self, tmp_path):
        assert_read(read(tmp_path, "lat\tlon\tdiam_km\n1\t10.5\t20.25\t30\n2\t-4.5\t130.5\t25\n", "craters.tsv"))

    @pytest.mark.parametrize(
        ("text", "row"),
        [
            ("lat,lon,diam_km\n10.5,20.25,30\n1,-4.5,130.5,25\n", 1),
            ("lat,lon,diam_km\n1,2,10.5,20.25,30\n1,2,-4.5,130.5,25\n", 0),
            ("lat,lon,diam_km\n10,5,20,25,30\n-4,5,130,5,25\n", 0),
        ],
    )
    def test_surplus_cells_without_a_header_are_refused(self, tmp_path, text, row):
        with pytest.raises(TableError, match=f"row {row} has more cells than the 3 of the header"):
            read(tmp_path, text)

    def test_rows_that_become_longer_after_thousands_of_lines_are_refused(self, tmp_path):
        text = PLAIN + "1,2,3\n" * 30000 + "1,2,3,4\n"
        with pytest.raises(TableError, match="Expected 3 fields in line 30004, saw 4"):
            read(tmp_path, text)


class TestSeparators:
    """Characters that separate cells, decimals and thousands."""

    @pytest.mark.parametrize(
        "text",
        [
            PLAIN.replace(",", ",  "),
            "lat,lon,diam_km\n10.5,20.25,30,\n-4.5,130.5,25,\n",
            "lat,lon,diam_km,,,\n10.5,20.25,30,,,\n-4.5,130.5,25,,,\n",  # Excel
            "lat,lon,diam_km\n10.5,20.25,30,,,\n-4.5,130.5,25,,,\n",
            PLAIN.replace(",", ";"),
            PLAIN.replace(",", "\t"),
            PLAIN.replace(",", "|"),
            "lat    lon diam_km\n10.5 20.25      30\n-4.5 130.5      25\n",
            "lat;lon;diam_km\n10,5;20,25;30\n-4,5;130,5;25\n",
            "sep=;\nlat;lon;diam_km\n10,5;20,25;30,0\n-4,5;130,5;25,0\n",  # Excel's hint to itself
            "sep=,\n" + PLAIN,
            ",,\n" + PLAIN,
            "\ufeffsep=;\n" + PLAIN.replace(",", ";"),
            PLAIN + ",,\n,,\n",  # rows that were emptied in Excel
            # line breaks inside cells, from Excel
            '"lat\n(deg)","lon\n(deg)","diam\n(km)"\n10.5,20.25,30\n-4.5,130.5,25\n',
            'name,lat,lon,diam_km\n"a\n""b""",10.5,20.25,30\n# c\n5" d,-4.5,130.5,25\n',
            '"lat" "lon" "diam_km"\n"the first" 10.5 20.25 30\n"the second" -4.5 130.5 25\n',
            "name;lat;lon;diam_km\na, b;10,5;20,25;30\nc, d, e;-4,5;130,5;25\n",
            'name,lat,lon,diam_km\n"a, b",10.5,20.25,30\n"c ""d"", e",-4.5,130.5,25\n',
            'lat,lon,diam_km\n"10,5","20,25",30\n"-4,5","130,5",25\n',
        ],
    )
    @pytest.mark.parametrize("name", ["craters.csv", "craters.txt", "craters.tsv"])
    def test_every_separator_gives_the_same_table(self, tmp_path, text, name):
        assert_read(read(tmp_path, text, name))

    def test_thousands_separators(self, tmp_path):
        english = 'lat,lon,diam_km\n10.5,20.25,"1,234"\n-4.5,130.5,"2,500"\n'
        assert_read(read(tmp_path, english), diam=(1234, 2500))
        german = "lat;lon;diam_km\n10,5;20,25;1.234\n-4,5;130,5;2.500,0\n"
        assert_read(read(tmp_path, german), diam=(1234, 2500))
        whole = "lat;lon;diam_km\n10,5;20,25;1.234\n-4,5;130,5;2.500\n"
        assert_read(read(tmp_path, whole), diam=(1234, 2500))

    def test_semicolons_with_ambiguous_commas_are_refused(self, tmp_path):
        text = "lat;lon;diam_km\n10;20;1,234\n-4;130;2,500\n"
        with pytest.raises(
            TableError, match="column 'diam_km' holds '1,234', whose comma may stand before decimals or"
        ):
            read(tmp_path, text)

    def test_axes_of_ellipses_may_have_decimal_commas(self, tmp_path):
        text = "lat;lon;diam_km;major;minor;angle\n10,5;20,25;30;31,5;28,25;45,5\n-4,5;130,5;25;26;24;0\n"
        cdb = read(tmp_path, text)
        cdb.add_ellipses("rim", 1, 1.5)
        assert cdb.data["major"].tolist() == [31.5, 26.0]


class TestEncodingsAndLines:
    """Encodings, line ends and comments."""

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_encodings_and_line_ends(self, tmp_path, encoding, end):
        text = "Latitude (°),lon,diam_km,name\n10.5,20.25,30,Fabricius é\n-4.5,130.5,25,Tycho\n".replace("\n", end)
        cdb = read(tmp_path, text, encoding=encoding)
        assert_read(cdb)
        assert cdb.data["name"].tolist() == ["Fabricius é", "Tycho"]
        assert list(cdb.orig_cols) == ["Latitude (°)", "lon", "diam_km", "name"]

    def test_a_character_of_another_encoding_far_down_the_file(self, tmp_path):
        rows = "10.5,20.25,30,a\n" * 40000
        cdb = read(tmp_path, f"lat,lon,diam_km,name\n{rows}-4.5,130.5,25,Fabricius é\n", encoding="latin-1")
        assert (len(cdb), cdb.data["name"].iloc[-1]) == (40001, "Fabricius é")

    @pytest.mark.parametrize(
        "text",
        [
            "# Lunar craters\n# after Robbins\n" + PLAIN,
            "\n\n% made by hand\n\n" + PLAIN,
            "// x\n" + PLAIN.replace("30\n", "30\n# the next one is uncertain\n") + "# end\n",
            PLAIN.replace("30\n", "30\n#11,12,13\n"),
            "# lat,lon,diam_km\n10.5,20.25,30\n-4.5,130.5,25\n",  # numpy.savetxt
            "# a list of craters\n# lat lon diam_km\n1.05e+01 2.025e+01 3e+01\n-4.5e+00 1.305e+02 2.5e+01\n",
            # every row is named with a number sign, so these are not comments
            "name,lat,lon,diam_km\n#1,10.5,20.25,30\n#2,-4.5,130.5,25\n",
            "#,lat,lon,diam_km\n1,10.5,20.25,30\n2,-4.5,130.5,25\n",
        ],
    )
    def test_comments_are_skipped(self, tmp_path, text):
        assert_read(read(tmp_path, text))
        assert_read(read(tmp_path, text.replace("\n", "\r"), encoding="utf-16"))

    def test_a_comment_far_down_the_file(self, tmp_path):
        cdb = read(tmp_path, PLAIN + "1,2,3\n" * 60000 + "# end\n4,5,6\n")
        assert (len(cdb), cdb.lat.iloc[-1]) == (60003, 4.0)

    @pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
    def test_a_file_without_a_table_is_refused(self, tmp_path, text):
        with pytest.raises(TableError):
            read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "lat,lon,diam\ndeg,deg,km\n10.5,20.25,30\n-4.5,130.5,25\n",
        "name;lat;lon;diam\n-;(degrees_north);(degrees_east);[km]\na;10,5;20,25;30\nb;-4,5;130,5;25\n",
        "# made by hand\nlat,lon,diam\n\ndegrees,degrees,kilometres\n10.5,20.25,30\n-4.5,130.5,25\n",
    ],
)
def test_a_line_of_units_belongs_to_the_header(tmp_path, text):
    """Instruments write units on a line of their own (elixir-explorer/explorer#781)."""
    assert_read(read(tmp_path, text))
    (tmp_path / "craters.csv").write_text(text)
    with pytest.raises(TableError, match="says km, but units='m'"):
        CraterDatabase(tmp_path / "craters.csv", "moon")


def test_other_lines_below_the_header_are_bad_rows(tmp_path):
    with pytest.raises(TableError, match=r"'lat' is not a number: 1 row \(0\)"):
        read(tmp_path, "lat,lon,diam_km\ndeg,deg,mean\n10.5,20.25,30\n")


def test_plain_files_are_read_as_by_pandas(tmp_path):
    frame = pd.DataFrame(
        {
            "CRATER_ID": ["00-1-000000", "00-1-000001", "NA"],
            "lat": [10.5, -4.5, 3.0],
            "lon": [20.25, 130.5, 0.0],
            "diam_km": [30, 25, 3],
            "note": ["a, b", None, 'the "big" one'],
            "good": [True, False, True],
            "arc": [0.98, np.nan, 1.0],
        }
    )
    frame.to_csv(tmp_path / "craters.csv", index=False)
    cdb = CraterDatabase(tmp_path / "craters.csv", "moon", units="km")
    pd.testing.assert_frame_equal(cdb.data[cdb.orig_cols], pd.read_csv(tmp_path / "craters.csv"))


@pytest.mark.parametrize(
    "columns",
    [
        [("position", "lat"), ("position", "lon"), ("size", "diam_km")],
        [("lat", "deg"), ("lon", "deg"), ("diam", "km")],
        [("lat", ""), ("lon", ""), ("diam_km", "")],
        [("lat", "Unnamed: 0_level_1"), ("lon", "mean"), ("diam", "km")],
    ],
)
def test_header_levels_are_joined(columns):
    frame = pd.DataFrame([[10.5, 20.25, 30], [-4.5, 130.5, 25]], columns=pd.MultiIndex.from_tuples(columns))
    cdb = CraterDatabase(frame, "moon", units="km")
    assert_read(cdb)
    assert cdb.orig_cols.nlevels == 1


@given(
    numbers=st.lists(
        st.tuples(st.integers(-90_000, 90_000), st.integers(-180_000, 359_999), st.integers(1, 3_000_000)),
        min_size=2,
        max_size=6,
    ),
    separator=st.sampled_from([",", ";", "\t", "|", " "]),
    comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    comment=st.sampled_from(["", "# Krater\n", "% crat\u00e8res\n\n"]),
    row_names=st.sampled_from([None, "R's", "pandas'"]),
    trailing=st.integers(0, 2),
)
def test_numbers_survive_every_way_to_save_them(
    tmp_path_factory, numbers, separator, comma, encoding, end, comment, row_names, trailing
):
    """Any separator, decimal mark, line end, comment and row name gives back the same thousandths."""
    blanks = separator == " "
    rows = []
    for k, thousandths in enumerate(numbers):
        cells = [f"{number / 1000:.3f}" for number in thousandths]
        cells = [cell.replace(".", ",") for cell in cells] if comma else cells
        cells = [f'"{cell}"' if comma and separator == "," else cell for cell in cells]
        rows.append(
            [*([] if row_names is None else [f'"{k}"']), *cells, *[""] * (0 if blanks or row_names else trailing)]
        )
    header = [*([""] if row_names == "pandas'" and not blanks else []), "lat", "lon", "diam_km"]
    text = comment + "".join(separator.join(cells) + "\n" for cells in (header, *rows))
    path = tmp_path_factory.mktemp("table") / "craters.csv"
    path.write_bytes(text.replace("\n", end).encode(encoding))
    proven = {"0,", "-0,"} & {cell[: cell.find(",") + 1] for cells in rows for cell in cells} or not comma
    # Three digits after every comma may be ambiguous unless some number begins with 0, but a size read is never wrong.
    with contextlib.nullcontext() if proven else contextlib.suppress(TableError):
        cdb = CraterDatabase(path, "moon", units="km")
        assert_thousandths(cdb, *np.array(numbers).T)


def assert_thousandths(cdb, lat, lon, diam):
    np.testing.assert_allclose(cdb.lat, lat / 1000, rtol=0, atol=1e-12)
    np.testing.assert_allclose((cdb.lon - lon / 1000 + 180) % 360, 180, rtol=0, atol=1e-9)
    np.testing.assert_allclose(cdb.rad, diam / 2, rtol=1e-12)
