"""A pytest fixture: `from rlvr.audit.fixtures import audited` in a test file or a conftest.py.

def test_it_cannot_be_cheated(audited):
    audited(MyEnv(), argued=["unit dropped"])
"""

from collections.abc import Callable

import pytest

from rlvr.audit.found import Audit
from rlvr.audit.testing import check_audit


@pytest.fixture
def audited() -> Callable[..., Audit]:
    """`rlvr.audit.testing.check_audit`: fails the test where an exploit wins or a mutation misses."""
    return check_audit
