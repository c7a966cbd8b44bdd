"""The prior file: one safetensors file, networks packed to a byte a number, its configuration as JSON in the header."""

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avatars.deform.roots import SearchOptions
from avatars.models.code_statistics import CodeStatistics
from avatars.models.gdna import Gdna
from avatars.models.gdna_options import GdnaOptions
from avatars.models.gdna_space import PeopleSpace
from avatars.models.packing import pack, unpack
from avatars.models.prior import Prior, PriorCard
from body_models import InputError, Skeleton
from data_prep.atomic import replacing

FORMAT, VERSION = "animatable-avatar-prior", "1"
SHIPPED = "people.prior"
AGAIN = "Copy it again, or train it again with `avatars train-prior PEOPLE --out people.prior`."
STATISTICS = ("shape", "detail", "betas")
SPACE = ("joints", "joint_basis", "canonical_pose", "box", "parts", "segment_tails")


def save_prior(prior: Prior, path: Path | str) -> None:
    """Write a prior to one file; an existing file is replaced only once the new one is whole."""
    tensors = pack({f"model.{name}": value for name, value in prior.model.state_dict().items()})
    for name in STATISTICS:
        tensors |= {key: value.cpu().contiguous() for key, value in getattr(prior, name).tensors(f"{name}.").items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "options": json.dumps(dataclasses.asdict(prior.model.options)),
        "skeleton": json.dumps(dataclasses.asdict(prior.model.space.skeleton)),
        "card": json.dumps(dataclasses.asdict(prior.card)),
    }
    with replacing(Path(path)) as temporary:
        save_file(tensors, temporary, metadata=header)


def load_prior(path: Path | str | None = None, device: torch.device | str = "cpu") -> Prior:
    """Read a prior's file, the one that comes with the package unless another is given; nothing in it is executed.

    Raises InputError when the file is missing, truncated, no prior, or from a newer version.
    """
    if path is None:
        with resources.as_file(resources.files("avatars.priors") / SHIPPED) as shipped:
            return load_prior(shipped, device)
    path = Path(path)
    if not path.is_file():
        raise InputError(f"No prior file '{path}'. Leave it away to use the one that comes with the package.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            _check_header(header, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterable)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"'{path}' cannot be read as a prior: it is truncated or no prior ({error}). {AGAIN}"
        ) from error
    try:
        prior = _assemble(header, tensors)
    except (InputError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise InputError(f"'{path}' is a prior with missing or unfitting parts: {error}. {AGAIN}") from error
    return prior if torch.device(device) == prior.device else prior.to_device(device)


def _assemble(header: dict[str, str], packed: dict[str, torch.Tensor]) -> Prior:
    tensors = unpack(packed)
    broken = [name for name, value in tensors.items() if value.is_floating_point() and bool(value.isnan().any())]
    if broken:
        raise ValueError(f"values that are not numbers ({', '.join(broken[:3])})")
    state = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    options = _options(json.loads(header["options"]))
    stored = json.loads(header["skeleton"])
    skeleton = Skeleton(tuple(stored["joint_names"]), tuple(stored["parents"]))
    known = {name: state[f"space.{name}"] for name in SPACE}
    space = PeopleSpace(skeleton, **known, spacing=options.weight_spacing)
    empty = torch.zeros(1, dtype=torch.long)
    active = tuple(state.get(f"{name}.active", empty) for name in ("occupancy.volumes", "normals.volume"))
    model = Gdna(options, space, (active[0], active[1]))
    model.load_state_dict(state)
    shape, detail, betas = (CodeStatistics.from_tensors(tensors, f"{name}.") for name in STATISTICS)
    card = json.loads(header["card"])
    return Prior(model, shape, detail, betas, PriorCard(card["body_model"], card["people"], tuple(card["notes"])))


def _options(stored: dict[str, Any]) -> GdnaOptions:
    search = SearchOptions(**stored.pop("search"))
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    return GdnaOptions(**{**stored, **lists}, search=search)


def _check_header(header: dict[str, str], path: Path) -> None:
    if header.get("format") != FORMAT:
        raise InputError(f"'{path}' is a safetensors file, but no prior of people. {AGAIN}")
    if header.get("version") != VERSION:
        raise InputError(
            f"'{path}' was written by another version (format {header.get('version')}, this one reads {VERSION}). "
            "Type `pip install --upgrade animatable-avatars`."
        )
