"""What Spectrum found, on disk: every matrix's ratio as JSONL, and the list of what is trained as the tool's YAML.

The rows are written one by one, so that a scan that was broken off goes on where it was; the first line says of which
weights they are, and rows of other weights are not used.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvr.models.spectrum import Matrix, Signal, scan
from rlvr.replacing import write_text
from rlvr_rewards.errors import UserError

_KEY = "unfrozen_parameters"


def fingerprint(path: str) -> list[list[Any]]:
    """What tells the weights of a model from those of another: name, size and time of each file of the whole chain.

    Args:
        path: A model's folder, an adapter's, or a hub id.
    """
    from rlvr.models.merge import adapter_chain
    from rlvr.models.shape import model_folder

    base, adapters = adapter_chain(path)
    folders = [model_folder(base), *map(Path, adapters)]
    files = [file for folder in folders if folder for file in sorted(folder.glob("*.safetensors"))]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def read_rows(path: Path, weights: list[list[Any]]) -> dict[str, Signal]:
    """The rows of a file by name, as far as they are whole; none where they are of other weights."""
    try:
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        if json.loads(head) != {"weights": weights}:
            return {}
    except (OSError, ValueError):
        return {}
    return {signal.name: signal for signal in _signals(rows)}


def _signals(rows: Iterable[str]) -> Iterator[Signal]:
    for row in rows:
        try:
            values = json.loads(row)
            yield Signal(**{**values, "shape": tuple(values["shape"])})
        except (ValueError, TypeError, KeyError):
            return  # cut short


def scan_into(
    path: Path, weights: list[list[Any]], matrices: Sequence[Matrix], advance: Callable[[int], None]
) -> list[Signal]:
    """Scans matrices, each row written as soon as it is known; those that the file has already are not scanned again.

    Args:
        path: The JSONL; its folder is made.
        weights: Of which weights the rows are; see `fingerprint`.
        matrices: What is scanned.
        advance: Told how many more are done.
    """
    known = read_rows(path, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"weights": weights}), *(json.dumps(asdict(signal)) for signal in known.values())]
    write_text(path, "".join(f"{line}\n" for line in lines))
    signals = []
    with path.open("a", encoding="utf-8") as file:
        for signal in scan(matrices, known):
            if signal.name not in known:
                file.write(json.dumps(asdict(signal)) + "\n")
                file.flush()
            signals.append(signal)
            advance(1)
    return signals


def write_unfrozen(path: Path, chosen: Sequence[Signal], others: Sequence[str]) -> None:
    """Writes the YAML of what is trained: the best matrices by type, and parameters outside of the layers."""
    write_text(path, unfrozen_yaml(chosen, others))


def unfrozen_yaml(chosen: Sequence[Signal], others: Sequence[str]) -> str:
    """The YAML as the reference tool writes it: names as they are, single parameters between `^` and `$`."""
    lines = [f"{_KEY}:", *(f"- ^{name}.weight$" for name in others)]
    kind = None
    for signal in chosen:
        if signal.kind != kind:
            kind = signal.kind
            lines.append(f"# {kind} layers")
        lines.append(f"- {signal.name}")
    return "\n".join(lines) + "\n"


def read_unfrozen(path: Path) -> list[str]:
    """The names in a YAML's list `unfrozen_parameters`.

    Raises:
        UserError: It cannot be read, has no such list, or holds a pattern instead of a name.
    """
    try:
        import yaml
    except ImportError:
        raise UserError(f"reading {path} needs PyYAML, which is not installed: pip install 'rlvr[train]'") from None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    names = found.get(_KEY) if isinstance(found, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: it has no list {_KEY} of names: write one with rlvr spectrum")
    for name in names:
        if any(mark in name for mark in "*+?[](){}|\\"):
            raise UserError(f"{path}: {name} is a pattern: name the modules themselves, as rlvr spectrum writes them")
    return names
