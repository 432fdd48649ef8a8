"""Peak memory of each stage of a run, beside the estimate that `rlvr run CONFIG --check` gives before it.

python benchmarks/memory.py CONFIG [--set KEY=VALUE]…      # as for rlvr run; the run folder is a temporary one

On a GPU: the most that torch had allocated, and reserved from the device. On a CPU: the most resident memory above what
the process held when the stage began, libraries loaded. Models of real size without the hub: random_model.py.
"""

import argparse
import ctypes
import gc
import tempfile
import time
from pathlib import Path

from rich.console import Console

from rlvr.config.load import load_config
from rlvr.config.schema import RunConfig, StageConfig
from rlvr.models.memory import CPU, GPU, Arithmetic, memory_estimate
from rlvr.models.room import sample_lengths
from rlvr.models.shape import shape_of
from rlvr.pipeline.environment import prepare_process, quiet_libraries
from rlvr.pipeline.folder import RunFolder
from rlvr.pipeline.peak import forget_peak, peak_memory
from rlvr.pipeline.plan import check
from rlvr.pipeline.run import BASE, SCRATCH, Run
from rlvr.stages import STAGES

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    prepare_process(offline=True)
    config = load_config(args.config, args.overrides)
    check(config)
    with tempfile.TemporaryDirectory() as folder:
        _measure(config, Path(folder) / "run")


def _measure(config: RunConfig, path: Path) -> None:
    import torch
    import trl

    _ = trl.GRPOTrainer, trl.SFTTrainer  # trl imports them when first asked: libraries are not the stage's memory
    quiet_libraries()
    torch.set_num_threads(config.threads or torch.get_num_threads())
    folder = RunFolder(path)
    folder.adopt(config)
    run = Run(config, folder, Console(quiet=True))
    run.model_of(BASE)
    print(f"{config.model.path} on {_device()}, torch {torch.__version__}, trl {trl.__version__}\n")
    print("| stage | estimate (MiB) | peak (MiB) | peak / estimate | reserved (MiB) | left after it (MiB) | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for stage in config.stage:
        _measure_stage(stage, run)
    folder.close()


def _measure_stage(stage: StageConfig, run: Run) -> None:
    _give_back_what_is_free()
    before, started = _held(), time.perf_counter()
    STAGES.get(stage.kind).run(stage, run)
    seconds = time.perf_counter() - started
    peak, reserved, left = _peak(), _reserved(), _held()
    parts = _estimate(stage, run)
    estimate = sum(parts.values())
    shown = (
        f"{estimate / MIB:,.0f} | {(peak - before) / MIB:,.0f} | {(peak - before) / estimate:.2f}"
        if parts
        else (f"none | {(peak - before) / MIB:,.0f} | ")
    )
    print(f"| {stage.name} | {shown} | {reserved} | {(left - before) / MIB:,.0f} | {seconds:.1f} |", flush=True)
    if parts:
        listed = ", ".join(f"{name} {size / MIB:,.0f}" for name, size in parts.items() if size)
        print(f"| | {listed} | | | | | |", flush=True)


def _estimate(stage: StageConfig, run: Run) -> dict[str, int]:
    """Of the model as it is made, with its own tokenizer, so that lengths are exact for a model from nothing too."""
    work = STAGES.get(stage.kind).workload(stage)
    if work is None:
        return {}
    model = run.config.model
    if model.path == SCRATCH:
        model = model.model_copy(update={"path": run.model_of(BASE)})
    shape = shape_of(model)
    assert shape is not None, "a model of another kind than the estimate is for"
    return memory_estimate(shape, work, sample_lengths(run.env, model, run.config.seed), _arithmetic())


def _arithmetic() -> Arithmetic:
    import torch

    return GPU if torch.cuda.is_available() else CPU


def _device() -> str:
    import torch

    return (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f"the CPU, {torch.get_num_threads()} thread(s)"
    )


def _give_back_what_is_free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    else:
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _held() -> int:
    """Bytes held now: the peak, once that so far is forgotten."""
    forget_peak()
    return _peak()


def _peak() -> int:
    found = peak_memory()
    return found.get("gpu", found["cpu"])


def _reserved() -> str:
    import torch

    return f"{torch.cuda.max_memory_reserved() / MIB:,.0f}" if torch.cuda.is_available() else ""


if __name__ == "__main__":
    main()
