"""Tables whose damage is known: any byte, anywhere in the file."""

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import SweepError, read_table
from orchestrator.columns import parquet_bytes
from orchestrator.table_sums import is_whole
from orchestrator.whole import Parts

TABLE = pd.DataFrame({"trial": ["0001", "0002"], "config.x": [1, "halving.sha256: " + "a" * 64], "loss": [0.5, 0.25]})
DATA = parquet_bytes(TABLE)


def test_a_table_is_read_as_it_was_and_by_others(tmp_path):
    path = tmp_path / "trials.parquet"
    path.write_bytes(DATA)
    pd.testing.assert_frame_equal(read_table(path), TABLE, check_dtype=False)
    assert list(pd.read_parquet(path)["loss"]) == [0.5, 0.25]
    assert pq.read_metadata(path).num_rows == 2
    assert Parts.of(tmp_path).rows == 2


@given(place=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_a_table_in_which_a_bit_has_changed_is_refused_or_reads_the_same(place, bit, tmp_path_factory):
    damaged = bytearray(DATA)
    damaged[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("run") / "trials.parquet"
    path.write_bytes(damaged)
    if is_whole(bytes(damaged)):  # the bit was in the key of the checksum, of which there is none then
        pd.testing.assert_frame_equal(read_table(path), TABLE, check_dtype=False)
        return
    with pytest.raises(SweepError, match=r"trials\.parquet: must be the table .* halving resume RUN makes"):
        read_table(path)
    assert Parts.of(path.parent).rows == 0


def test_a_table_of_another_program_has_no_checksum_to_check(tmp_path):
    TABLE.assign(**{"config.x": [1, 2]}).to_parquet(tmp_path / "mine.parquet")
    assert list(read_table(tmp_path / "mine.parquet")["config.x"]) == [1, 2]
