"""How weights get to vLLM servers: over NCCL, as TRL does it, between GPUs; through a file where there is no GPU.

Over NCCL everything is TRL's own (`trl.generation.vllm_client`, 1.16): a group of the trainer and a server's workers,
the announcement of names and shapes, the packed broadcast. Files go by a folder that the trainer and the servers share:
the machine's temporary files, or what `TMPDIR` names. Either way a LoRA adapter is merged for the time of the copy.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rlvr.engine.vllm_http import Server, ServerAwayError, ServerInfo
from rlvr.engine.vllm_weights import named_weights
from rlvr_rewards.errors import UserError, one_line


class Transfer(Protocol):
    """Brings the weights of a model to servers."""

    def push(self, model: Any, server: Server) -> None:
        """Makes a server's weights those of the model, and has it forget what it cached under those before.

        Raises:
            ServerAwayError: The server is away, or does not answer in time.
            UserError: It does not take them.
        """
        ...

    def settled(self) -> None:
        """All servers have the weights: what was kept for them can go; the next push is of a model as it is then."""
        ...

    def close(self) -> None: ...


class FileTransfer:
    """One safetensors file a version, which every server reads, and which lies there no longer than that takes."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rlvr-weights-"))
        self._file: Path | None = None
        self._version = 0

    def push(self, model: Any, server: Server) -> None:
        file = self._file or self._write(model)
        found = server.post("/collective_rpc", {"method": "load_weights_from", "args": [str(file)]})
        if problems := [problem for problem in found["results"] if problem]:
            raise UserError(
                f"the vLLM server at {server.url} does not take the model's weights ({problems[0]}): serve the model "
                "that is trained, and where the server is on another machine set TMPDIR to a folder that both see"
            )
        server.post("/reset_prefix_cache")

    def settled(self) -> None:
        if self._file:
            self._file.unlink(missing_ok=True)
            self._file = None

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, model: Any) -> Path:
        from safetensors.torch import save_file

        self._version += 1
        self._file = self._folder / f"{self._version}.safetensors"
        # copied while they are merged: the names stand for other numbers once the adapter is taken out again
        save_file({name: weight.cpu().clone().contiguous() for name, weight in named_weights(model)}, self._file)
        return self._file


class NCCLTransfer:
    """A group of the trainer's GPU and those of each server.

    Args:
        group_port: Of the first server's group, on the trainer's machine; the others take the ports after it.
    """

    def __init__(self, group_port: int) -> None:
        self.group_port = group_port
        self._clients: dict[str, Any] = {}

    def push(self, model: Any, server: Server) -> None:
        names = [(name, str(w.dtype).removeprefix("torch."), list(w.shape)) for name, w in named_weights(model)]
        try:
            client = self._clients.get(server.url) or self._connect(model, server)
            with client.weight_update():
                client.update_named_params(names, named_weights(model))
            client.reset_prefix_cache()
        except Exception as error:  # TRL's client raises plain Exception; the group is of no use afterwards
            self._drop(server)
            raise ServerAwayError(one_line(error)) from error

    def settled(self) -> None:
        pass

    def close(self) -> None:
        for client in self._clients.values():
            client.close_communicator()

    def _connect(self, model: Any, server: Server) -> Any:
        from trl.generation.vllm_client import VLLMClient

        port = self.group_port + len(self._clients)
        client = VLLMClient(base_url=server.url, group_port=port, connection_timeout=server.patience_s)
        client.init_communicator(device=model.device)
        self._clients[server.url] = client
        return client

    def _drop(self, server: Server) -> None:
        if client := self._clients.pop(server.url, None):
            client.close_communicator()


def transfer_for(servers: Sequence[tuple[Server, ServerInfo]], model: Any, group_port: int) -> Transfer:
    """The transfer that all servers take.

    Raises:
        UserError: There is none; the message says how to start a server that takes one.
    """
    for server, info in servers:
        if info.logprobs_mode != "processed_logprobs":
            raise UserError(f"the vLLM server at {server.url} gives other log-probs than asked for: {_start_it()}")
    if all(info.takes_files for _, info in servers):
        return FileTransfer()
    if model.device.type != "cuda" and any(info.takes_nccl for _, info in servers):
        raise UserError(
            "a vLLM server takes its weights over NCCL, which needs a GPU here too, and there is none: start the "
            "servers on a machine without a GPU as well (rlvr serve), or train on a GPU"
        )
    without = [server.url for server, info in servers if not info.takes_nccl]
    if without:
        raise UserError(f"the vLLM server at {without[0]} takes no weights: {_start_it()}")
    from rlvr.installed import require_vllm

    require_vllm()
    return NCCLTransfer(group_port)


def _start_it() -> str:
    return "start it with rlvr serve MODEL"
