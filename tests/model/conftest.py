"""Models use one thread, as the machine of a test may be shared; and what they read."""

import numpy as np
import pytest
import torch

from nerbert.model.forward import Batch
from nerbert.model.windows import Window, Windows
from nerbert.training.batches import collate


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Leave the other cores alone."""
    torch.set_num_threads(1)


@pytest.fixture
def batch() -> Batch:
    """Two sentences, one of them padded."""
    rows = [Window(0, (2, 7, 8, 9, 3), (0, 1, 2), (1, 3, 3), (0, 1, 1)), Window(1, (2, 11, 3), (0,), (1,), (0,))]
    return collate(Windows.pack(rows), np.arange(2), 0)
