from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from lockstep.objects import known


@pytest.fixture(scope="session", autouse=True)
def _no_pauses_before_asking_again() -> Iterator[None]:
    """A store in memory that does not have something will not have it a second later: how often it is asked counts here, not when."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "time", SimpleNamespace(sleep=lambda _seconds: None))
        yield
