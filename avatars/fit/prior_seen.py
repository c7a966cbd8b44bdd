"""The files of `prior_hits`, one a person of a prior's training: made where they are missing or out of date."""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avatars.fit.detail_options import DetailStage
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior_hits import SeenPoints, fingerprint, networks_fingerprint, see_member
from avatars.fit.prior_shape import CodedPeople, Share
from avatars.fit.progress import Progress
from avatars.models.coarse_person import CoarsePerson
from body_models import InputError
from data_prep.atomic import replacing
from data_prep.people import PeopleDataset

PARTS = ("canonical", "turn", "coarse", "feature")


class SeenPeople:
    """What is kept of each person, read from files a few rows at a time; people are numbered as in the pools."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self._starts: dict[int, tuple[list[int], list[int]]] = {}

    def hits(self, person: int, scan: int, view: int) -> tuple[SeenPoints, Int[Tensor, "point"]]:
        """The points that one view of a person's scan shows, and their pixels, counted row by row."""
        with self._open(person) as file:
            starts, views = self._starts[person][0], file.get_slice("hit_counts").get_shape()[1]
            rows = slice(starts[scan * views + view], starts[scan * views + view + 1])
            return _points(file, "hit", rows), file.get_slice("hit_pixel")[rows].long()

    def surface(self, person: int, scan: int, points: int, share: float) -> tuple[SeenPoints, Float[Tensor, "point 3"]]:
        """Some surface points of a person's scan, and the scan's posed unit normals there; `share` from 0 to 1 picks.

        Fewer than asked for where the scan has no more.
        """
        with self._open(person) as file:
            starts = self._starts[person][1]
            first, count = starts[scan], starts[scan + 1] - starts[scan]
            first += int(share * (max(count - points, 0) + 1 - 1e-6))
            rows = slice(first, first + min(points, count))
            return _points(file, "surface", rows), file.get_slice("surface_normal")[rows].float()

    def _open(self, person: int) -> Any:
        file = safe_open(self.paths[person], framework="pt")
        if person not in self._starts:
            counts = file.get_tensor("hit_counts").flatten(), file.get_tensor("surface_counts")
            self._starts[person] = _ends(counts[0]), _ends(counts[1])
        return file


def prepare_seen(
    people: CodedPeople,
    pools: PeoplePools,
    dataset: PeopleDataset,
    numbers: list[int],
    folder: Path,
    options: DetailStage,
    progress: Progress,
    share: Share | None = None,
) -> SeenPeople:
    """Find and keep in a folder where the people's coarse surfaces are met; files that are there already stay.

    `numbers` are those of the people in the dataset, in the order of the pools. With a `share` each process makes its
    own part; wait for all of them before reading. Raises InputError when a person has no surface or nothing can be
    written.
    """
    share = share or Share()
    gdna, was_training = people.gdna, people.gdna.training
    gdna.eval()
    networks = networks_fingerprint(gdna)
    paths = [folder / f"{number:06d}.safetensors" for number in numbers]
    task = progress.start("finding where views meet the surfaces", len(numbers[share.rank :: share.processes]))
    for row in range(share.rank, len(numbers), share.processes):
        member = dataset.member(numbers[row])
        person = CoarsePerson(gdna, people.shape[row].detach(), pools.betas[row])
        mark = networks + fingerprint(person, member, dataset.yaws, options)
        if not _is_made(paths[row], mark):
            try:
                tensors = see_member(person, member, dataset.yaws, options)
            except InputError as error:
                raise InputError(f"'{member.name}' has no coarse surface to put details on: {error}") from error
            _write(paths[row], tensors, mark)
        progress.advance(task, member.name)
    gdna.train(was_training)
    return SeenPeople(paths)


def _is_made(path: Path, mark: str) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get("mark", "null")) == mark
    except (OSError, SafetensorError, ValueError):
        return False


def _write(path: Path, tensors: dict[str, Tensor], mark: str) -> None:
    plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata={"mark": json.dumps(mark)})


def _points(file: Any, kind: str, rows: slice) -> SeenPoints:
    return SeenPoints(*(file.get_slice(f"{kind}_{name}")[rows].float() for name in PARTS))


def _ends(counts: Int[Tensor, "part"]) -> list[int]:
    """Where each part begins, and where the last one ends."""
    return [0, *counts.cumsum(0).tolist()]


def joined(seen: list[SeenPoints], device: torch.device) -> SeenPoints:
    """Points on end, on a device."""
    return SeenPoints(*(torch.cat([getattr(points, name) for points in seen]).to(device) for name in PARTS))
