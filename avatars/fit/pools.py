"""Points prepared for fitting: drawn once for every scan, labelled by their signed distance."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.fit.options import FitOptions
from data_prep.pockets import without_pockets
from data_prep.registration.register import scan_surface
from data_prep.sampling import label_points, sample_near, sample_uniform
from data_prep.scans import Scan

TIGHT_SIGMA = 0.004
"""Half of the points near the surface lie this close to it (metres), where the shape is decided."""


@dataclass(frozen=True)
class PointPools:
    """For each scan, points about it and what the avatar should say there (metres)."""

    points: Float[Tensor, "scan point 3"]
    labels: Float[Tensor, "scan point"]

    def draw(
        self, scans: Int[Tensor, "chosen"], count: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "drawn 3"], Float[Tensor, "drawn"]]:
        """Random points of some scans, the same number of each, scan by scan."""
        index = torch.randint(self.points.shape[1], (len(scans), count), generator=generator).to(self.points.device)
        return self.points[scans[:, None], index].flatten(0, 1), self.labels[scans[:, None], index].flatten()

    def to(self, device: torch.device) -> "PointPools":
        """The same pools on a device."""
        return PointPools(self.points.to(device), self.labels.to(device))


def build_pools(scans: list[Scan], options: FitOptions, seed: int) -> PointPools:
    """Draw and label the points of every scan; labels fade over the avatar's edge when they are soft.

    Pockets (a mouth behind closed lips) are labelled as inside: their thin walls would come out torn. Points lie about
    their walls too, so that what the avatar starts from is filled there.
    """
    points, distances = [], []
    near = round(options.near_share * options.pool)
    tight = near // 2 if options.soft_labels else 0
    for number, scan in enumerate(scans):
        surface = scan_surface(scan)
        generator = torch.Generator().manual_seed(seed + number)
        drawn = torch.cat(
            [
                sample_uniform(surface, options.pool - near, generator),
                sample_near(surface, near - tight, options.near_sigma, generator),
                sample_near(surface, tight, TIGHT_SIGMA, generator),
            ]
        )
        points.append(drawn)
        distances.append(label_points(without_pockets(surface), drawn).distance)
    distance = torch.stack(distances)
    labels = torch.sigmoid(-distance / options.snarf.edge) if options.soft_labels else (distance < 0).float()
    return PointPools(torch.stack(points), labels)
