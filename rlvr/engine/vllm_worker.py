"""What runs inside a vLLM server on a CPU: weights that can be replaced, from a safetensors file.

vLLM's own weight transfer is NCCL, which needs CUDA. A server that was started with this class as its
`--worker-extension-cls`, as `rlvr serve` does it, takes its weights from a file instead. Importing this module is part
of it: what changes vLLM for the CPU must be done before the model loads.
"""

from pathlib import Path
from typing import Any

from rlvr.engine.vllm_engine import prepare_for_cpu
from rlvr_rewards.errors import one_line

prepare_for_cpu()


class WeightsFromFile:
    """Methods that vLLM adds to its worker, to be called over the server's `/collective_rpc`."""

    model_runner: Any

    def load_weights_from(self, path: str) -> str:
        """Makes the weights those of a safetensors file.

        Returns:
            What went wrong, or nothing: a method that raises takes vLLM's engine down with it.
        """
        from safetensors.torch import load_file

        try:
            self.model_runner.model.load_weights(load_file(Path(path)).items())
        except Exception as error:
            return one_line(error)
        return ""
