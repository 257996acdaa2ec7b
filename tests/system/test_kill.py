"""kill -9 under load, at random moments: what was acknowledged is not lost."""
import random

import pytest
from kill_campaign import Campaign

ROUNDS = 10


@pytest.mark.parametrize("ack, mixed", [("written", True), ("fsync", False)])
def test_kills_lose_nothing_that_was_acknowledged(tmp_path, ack, mixed):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    campaign = Campaign(tmp_path, seed, ack, mixed)
    try:
        figures = campaign.run(ROUNDS // 2)
    finally:
        campaign.close()
    assert figures["acknowledged"] > 1000 and figures["recovered"] > 0, figures
