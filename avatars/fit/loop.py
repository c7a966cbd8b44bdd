"""The one optimisation loop: device, progress, curves, checkpoints, resume. A method supplies parameters and losses."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from avatars.fit.adam import FieldAdam
from avatars.fit.options import check_range, check_seed
from avatars.fit.progress import Progress
from body_models import InputError
from data_prep.atomic import replacing


@runtime_checkable
class Method(Protocol):
    """What is fitted: a module, its learning rates and its losses."""

    @property
    def module(self) -> nn.Module:
        """All that is optimised."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters with their learning rates, as torch optimisers take them."""
        ...

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms of the loss at a step, summed by the loop; random draws come from the generator alone."""
        ...


@dataclass(frozen=True)
class LoopOptions:
    """How long to optimise and how often to save."""

    steps: int
    seed: int = 0
    device: str = "auto"
    final_rate: float = 0.05
    clip: float = 0.0
    checkpoint_every: int = 100
    log_every: int = 10

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("checkpoint_every", 1), ("log_every", 1), ("clip", 0)):
            check_range(name, getattr(self, name), least)
        check_seed(self.seed)


def optimise(
    method: Method,
    options: LoopOptions,
    folder: Path,
    resume: bool,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
    fabric: Fabric | None = None,
    title: str = "fitting the avatar",
) -> None:
    """Minimise a method's losses with Adam; `folder` receives `checkpoint.safetensors` and tensorboard curves.

    `check` is called before each checkpoint; what it raises an error about is not saved. With a `fabric` of several
    processes each gives the losses of its share of a step, and all take the same step, by the mean of the gradients.
    Every step draws from a generator seeded by seed and step, so that a resumed run continues the same sequence. Raises
    InputError when the loss or a parameter is no longer finite, or when the folder cannot be written.
    """
    fabric = fabric or make_fabric(options.device)
    optimiser = FieldAdam(method.parameter_groups())
    rates = [group["lr"] for group in optimiser.param_groups]
    checkpoint = folder / "checkpoint.safetensors"
    first = load_checkpoint(checkpoint, method.module, optimiser) if resume and checkpoint.exists() else 0
    method.module.train()
    task = progress.start(title, options.steps, first)
    with _curves(folder, first, fabric.is_global_zero) as curves:
        for step in range(first, options.steps):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * cosine(step / options.steps, options.final_rate)
            terms = method.losses(step, step_generator(options.seed, step))
            loss = torch.stack(list(terms.values())).sum()
            mean = mean_over_processes(fabric, {**terms, "total": loss})
            if not torch.isfinite(mean["total"]):
                raise _diverged("loss is", step, checkpoint)
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            share_gradients(fabric, method.module)
            if options.clip > 0:
                torch.nn.utils.clip_grad_norm_(method.module.parameters(), options.clip)
            optimiser.step()
            if step % options.log_every == 0:
                curves.add(step, mean)
            progress.advance(task, f"loss {mean['total'].item():.4f}")
            if (step + 1) % options.checkpoint_every == 0 or step + 1 == options.steps:
                if not all(parameter.isfinite().all() for parameter in method.module.parameters()):
                    raise _diverged("parameters are", step, checkpoint)
                check()
                if fabric.is_global_zero:
                    save_checkpoint(checkpoint, method.module, optimiser, step + 1)
    progress.finish(task)


def _diverged(what: str, step: int, checkpoint: Path) -> InputError:
    kept = f"The last checkpoint is '{checkpoint}'; resume from it" if checkpoint.exists() else "Start anew"
    return InputError(f"The {what} no longer finite at step {step}. {kept} with lower learning rates in the preset.")


def make_fabric(device: str) -> Fabric:
    """Lightning Fabric on the requested device ("auto", "cpu", "cuda"), in full 32-bit precision.

    Under torchrun it spans all processes that torchrun started, on one machine or several.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"Unknown device '{device}': choose auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("Device 'cuda' was asked for, but torch sees no CUDA device. Use `--device auto` or `cpu`.")
    accelerator = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    processes, here = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes == 1 or not torch.distributed.is_torchelastic_launched():
        return Fabric(accelerator=accelerator, devices=1, precision="32-true")
    fabric = Fabric(
        accelerator=accelerator, strategy="ddp", devices=here, num_nodes=processes // here, precision="32-true"
    )
    fabric.launch()
    return fabric


def mean_over_processes(fabric: Fabric, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each term's mean over all processes, without gradients."""
    if fabric.world_size == 1:
        return {name: value.detach() for name, value in terms.items()}
    values = fabric.all_reduce(torch.stack([value.detach() for value in terms.values()]), reduce_op="mean")
    assert isinstance(values, Tensor)
    return dict(zip(terms, values.unbind(), strict=True))


def share_gradients(fabric: Fabric, module: nn.Module) -> None:
    """Give every process the mean of all processes' gradients."""
    if fabric.world_size == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is not None:  # all processes go through the same operations, so it is there for all or none
            mean = fabric.all_reduce(parameter.grad, reduce_op="mean")
            assert isinstance(mean, Tensor)
            parameter.grad = mean


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def cosine(progress: float, final: float) -> float:
    """Factor on the learning rate, from 1 to `final` along half a cosine."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def save_checkpoint(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Write module and optimiser state as one safetensors file, in place of the last one once it is whole."""
    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    with replacing(path) as temporary:
        contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        save_file(contiguous, temporary, metadata={"step": json.dumps(step)})


def load_checkpoint(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Restore module and optimiser; returns the number of steps already done."""
    try:
        with safe_open(path, framework="pt") as file:
            step = int(json.loads((file.metadata() or {})["step"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        state = _optimiser_state(optimiser, _under(tensors, "optimiser."))
        module.load_state_dict(_under(tensors, "module."))
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]  # torch lists every parameter, a line each
        raise InputError(
            f"The checkpoint '{path}' does not fit this run or is damaged ({reason}). "
            "Leave `--resume` away to start anew."
        ) from error
    return step


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimiser_state(optimiser: torch.optim.Optimizer, stored: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The state of each parameter by its number; raises ValueError when it is of another number or shape."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    shapes = [_state_shapes(parameter, group) for group in optimiser.param_groups for parameter in group["params"]]
    for number, values in state.items():
        if not 0 <= number < len(shapes) or {key: value.shape for key, value in values.items()} != shapes[number]:
            raise ValueError(f"the optimiser's state {number} is of another model")
    return state


def _state_shapes(parameter: Tensor, group: Mapping[str, Any]) -> dict[str, torch.Size]:
    """What Adam keeps of a parameter; a uniform group one second moment for all its entries."""
    second = torch.Size() if group.get("uniform") else parameter.shape
    return {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": second}


class _Curves:
    """Tensorboard curves of the loss terms; those of steps that are done again after a resumption are replaced."""

    def __init__(self, folder: Path, first: int, written: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "curves"), purge_step=first or None) if written else None

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        if self.writer is not None:
            for name, value in terms.items():
                self.writer.add_scalar(f"loss/{name}", value.item(), step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


@contextmanager
def _curves(folder: Path, first: int, written: bool) -> Iterator[_Curves]:
    """Curves that are closed in any case; raises InputError when they cannot be written, as on a full disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        curves = _Curves(folder, first, written)
        try:
            yield curves
        finally:
            curves.close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"Cannot write to '{folder}': {reason}. Make room there, then go on with `--resume`."
        ) from error
