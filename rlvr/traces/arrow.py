"""`pyarrow.compute` without types: its functions are made when it is imported, so a type checker knows none of them."""

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
