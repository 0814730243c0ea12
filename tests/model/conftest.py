"""Models use one thread, as the machine of a test may be shared."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Leave the other cores alone."""
    torch.set_num_threads(1)
