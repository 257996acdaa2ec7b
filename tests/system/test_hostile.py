"""Scripts that never end hold up nobody for long. tests/soak/hostile.py has all of them."""
import pytest
from hostile_campaign import longest_delay, scripts

SOME = ["pcall in pcall"]


@pytest.mark.parametrize("name", SOME)
def test_traces_and_exporters_wait_less_than_a_second_for_a_script_that_never_ends(name, tmp_path):
    assert longest_delay(scripts()[name], tmp_path) < 1
