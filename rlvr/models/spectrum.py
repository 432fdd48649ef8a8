"""Spectrum (Hartford et al. 2024, arXiv 2406.06623): train the matrices with the most signal, freeze the rest.

Each matrix of each layer gets a signal-to-noise ratio from its singular values, and within every type of module the
best few are trained, with their biases. This is our own scan of the paper's formula, one matrix in memory at a time.
With S the singular values of an n x m matrix, largest first:

    sigma = (Q75(S) - Q25(S)) / 1.349     beta = min(n, m) / max(n, m)     epsilon = sigma (1 + sqrt(beta))
    SNR   = (sum of S > epsilon / sum of S <= epsilon) / S[0]              the noise counts as 1.0 where it is empty

Where it departs from the reference tool:
1.  Ranked are matrices of one type and one shape, since ratios of different shapes cannot be compared.
2.  At least one matrix of each type is trained, also where the share rounds down to none.
3.  Embeddings and the head are trained on request only; the tool always trains them.
4.  Weights that are no matrix (norms, biases, fused experts) are not ranked and stay frozen; the tool gives a norm an
    infinite ratio, and so trains those that come first.
5.  What the ratio cannot tell is noted on the row. The limit `epsilon` is meant to lie above the singular values of
    noise, yet for elongated matrices (beta under 0.27) it lies below all of them: pure noise would count as signal, and
    the ratio is then the sum of S over S[0], how evenly the values are spread.

Not here: the files that hold the result (`spectrum_files`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from rlvr.config.schema import Section
from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    import torch

_WEIGHT = ".weight"
_FLOATS = ("F64", "F32", "F16", "BF16")
_NOISE_IS_SIGNAL_BELOW = 0.27
"""The beta under which epsilon lies below the smallest singular value of pure noise (by the Marchenko-Pastur law)."""


class SpectrumSettings(Section):
    """A stage's `[stage.spectrum]`.

    Attributes:
        top_percent: The share of each type of module that is trained.
        modules: The types to choose from, such as `mlp.down_proj`; by default all matrices of the layers.
        embeddings: Whether embeddings and the head are trained too.
        parameters: A YAML with a list `unfrozen_parameters`, as the reference tool and `rlvr spectrum` write it: then
            nothing is scanned, and what it names is trained.
    """

    top_percent: float = Field(default=25.0, gt=0, le=100)
    modules: tuple[str, ...] = ()
    embeddings: bool = False
    parameters: Path | None = None

    @model_validator(mode="after")
    def _list_is_whole(self) -> "SpectrumSettings":
        if self.parameters and (given := self.model_fields_set - {"parameters"}):
            raise ValueError(f"parameters names all that is trained: leave out {', '.join(sorted(given))}")
        return self


@dataclass(frozen=True)
class Matrix:
    """One matrix of a model.

    Attributes:
        name: Of its module, such as `model.layers.3.mlp.up_proj`.
        shape: Rows and columns.
        load: Reads its values.
    """

    name: str
    shape: tuple[int, int]
    load: "Callable[[], torch.Tensor]"

    @property
    def kind(self) -> str:
        """Its type: the name after the number of the layer, such as `mlp.up_proj`; empty outside of the layers."""
        parts = self.name.split(".")
        first = next((place for place, part in enumerate(parts) if part.isdecimal()), len(parts))
        return ".".join(part for part in parts[first:] if not part.isdecimal())


@dataclass(frozen=True)
class Signal:
    """What the scan found of one matrix.

    Attributes:
        name: As in `Matrix`.
        kind: As in `Matrix`.
        shape: Rows and columns.
        snr: The signal-to-noise ratio, at least 0.
        note: Why the ratio says little, empty where it does not.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    snr: float
    note: str = ""


def stored_matrices(folder: Path) -> Iterator[Matrix]:
    """The matrices in a model's safetensors files, each read when it is asked for.

    Raises:
        UserError: A file is damaged, or its weights are quantized.
    """
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                heads = {name: file.get_slice(name) for name in file.keys() if name.endswith(_WEIGHT)}  # noqa: SIM118
                found = {name: (tuple(head.get_shape()), head.get_dtype()) for name, head in heads.items()}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} cannot be read ({error}): get the model again") from None
        for name, (shape, dtype) in found.items():
            if dtype not in _FLOATS:
                raise UserError(f"{path}: {name} is quantized ({dtype}): scan the model that it was made from")
            if len(shape) == 2:
                yield Matrix(name.removesuffix(_WEIGHT), shape, lambda path=path, name=name: _read(path, name))


def _read(path: Path, name: str) -> "torch.Tensor":
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)


def held_matrices(model: Any) -> Iterator[Matrix]:
    """The matrices of a model in memory."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and name.endswith(_WEIGHT):
            yield Matrix(name.removesuffix(_WEIGHT), tuple(weight.shape), lambda weight=weight: weight.detach())


def chosen_types(matrices: Iterable[Matrix], modules: Sequence[str]) -> list[Matrix]:
    """Those matrices of layers whose type is one of `modules`; all of the layers' where that is empty.

    Raises:
        UserError: There is no such type, or no layer has a matrix.
    """
    layers = [matrix for matrix in matrices if matrix.kind]
    known = {matrix.kind for matrix in layers}
    if not known:
        raise UserError("Spectrum found no matrix of a layer in this model: train all weights, or an adapter")
    for name in modules:
        if name not in known:
            raise unknown_name("module type for Spectrum", name, known)
    return [matrix for matrix in layers if not modules or matrix.kind in modules]


def scan(matrices: Iterable[Matrix], known: Mapping[str, Signal]) -> Iterator[Signal]:
    """The signal of each matrix, in order; those that are `known` are not computed again."""
    for matrix in matrices:
        yield known.get(matrix.name) or _signal(matrix)


def _signal(matrix: Matrix) -> Signal:
    import torch

    weights = matrix.load().to("cuda" if torch.cuda.is_available() else "cpu", torch.float32)
    if not weights.isfinite().all():
        raise UserError(f"{matrix.name}{_WEIGHT} holds values that are not finite: get the model again")
    snr, note = signal_to_noise(torch.linalg.svdvals(weights), matrix.shape)
    return Signal(matrix.name, matrix.kind, matrix.shape, snr, note)


def signal_to_noise(values: "torch.Tensor", shape: tuple[int, int]) -> tuple[float, str]:
    """The ratio of a matrix from its singular values (1-D, largest first), and why it says little, if it does."""
    import torch

    values = values.double()
    largest = float(values[0])
    if largest == 0:
        return 0.0, "all zero"
    quarters = torch.quantile(values, values.new_tensor([0.25, 0.75]))
    beta = min(shape) / max(shape)
    limit = float(quarters[1] - quarters[0]) / 1.349 * (1 + beta**0.5)
    signal, noise = float(values[values > limit].sum()), float(values[values <= limit].sum())
    note = "noise of this shape counts as signal" if beta < _NOISE_IS_SIGNAL_BELOW else ""
    if noise == 0:
        note = note or "no noise found"
    return signal / (noise or 1.0) / largest, note


def best(signals: Iterable[Signal], top_percent: float) -> list[Signal]:
    """The share with the highest ratio of each type and shape, at least one; best first within a type."""
    groups: dict[tuple[str, tuple[int, int]], list[Signal]] = defaultdict(list)
    for signal in signals:
        groups[signal.kind, signal.shape].append(signal)
    return [
        signal
        for group in groups.values()
        for signal in sorted(group, key=lambda each: -each.snr)[: max(1, int(len(group) * top_percent / 100))]
    ]


def outside_of_layers(matrices: Iterable[Matrix]) -> list[str]:
    """The names of embeddings and of the head, where it is a matrix of its own."""
    return [matrix.name for matrix in matrices if not matrix.kind]


def freeze_all_but(model: Any, names: Sequence[str]) -> int:
    """Leaves only the named modules and parameters of a model to be trained.

    Args:
        model: Changed in place.
        names: Modules (`model.layers.3.mlp.up_proj`, with all their parameters) or parameters; `^` and `$` around a
            name, which the reference tool writes, are left out.

    Returns:
        How many weights are trained.

    Raises:
        UserError: A name is none of the model's.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))  # a tied head under both of its names
    model.requires_grad_(False)
    for name in (name.removeprefix("^").removesuffix("$") for name in names):
        found = [weight for key, weight in parameters.items() if key == name or key.startswith(f"{name}.")]
        if not found:
            raise unknown_name("parameter of the model for Spectrum", name, parameters)
        for weight in found:
            weight.requires_grad_(True)
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
