"""Canonical occupancy fields, conditioned on the pose: grids with a small decoder (fast) and SNARF's MLP."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.mlp import Mlp, positional_encoding
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read


class PoseCode(nn.Module):
    """Axis-angles of all joints but the root, over pi, squeezed to a few numbers (SNARF, appendix)."""

    def __init__(self, bones: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * (bones - 1), size)

    def forward(self, pose: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame code"]:
        """Code of each pose."""
        return self.linear(pose[:, 1:].flatten(1) / math.pi)


class GridOccupancy(nn.Module):
    """A signed-distance-like base grid plus a residual decoded from feature grids and the pose.

    The base starts at the body's own surface and the residual at zero, so that fitting begins from a person. It is
    finer in the parts (hands) that its grid has patches for.
    """

    rim: Tensor
    rim_corners: Tensor
    rim_weights: Tensor

    def __init__(
        self, base: PatchedGrid, features: list[tuple[GridSpec, int]], bones: int, width: int, code: int
    ) -> None:
        super().__init__()
        self.base_grid, self.feature_specs = base, [spec for spec, _ in features]
        self.base = nn.Parameter(torch.zeros(base.count, 1))
        for name, value in zip(("rim", "rim_corners", "rim_weights"), base.rim(), strict=True):
            self.register_buffer(name, value, persistent=False)
        self.tables = nn.ParameterList([0.01 * torch.randn(spec.count, channels) for spec, channels in features])
        self.pose_code = PoseCode(bones, code) if code else None
        inputs = sum(channels for _, channels in features) + code
        last = nn.Linear(width, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.decoder = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)

    def start_from(self, logits: Float[Tensor, "node"]) -> None:
        """Begin at given logits, one a node of the base grid."""
        with torch.no_grad():
            self.base.copy_(logits[:, None])

    def at_nodes(self) -> Float[Tensor, "node 1"]:
        """The base at its grid's nodes, continuous across the rims of patches."""
        if len(self.rim) == 0:
            return self.base
        rim = interpolate(self.base, self.rim_corners, self.rim_weights.to(self.base))
        return self.base.index_copy(0, self.rim, rim)

    def forward(
        self, points: Float[Tensor, "point 3"], code: Float[Tensor, "point code"] | None = None
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at canonical points (metres), positive inside."""
        values = read(self.base, self.base_grid, points, mended=True)
        features = [read(table, spec, points) for spec, table in zip(self.feature_specs, self.tables, strict=True)]
        if code is not None:
            features.append(code)
        return (values + self.decoder(torch.cat(features, 1)))[:, 0]


class MlpOccupancy(nn.Module):
    """SNARF's occupancy network: 8 layers of 256, positional encoding, a skip, the pose code joined at its layer."""

    def __init__(self, bones: int, width: int = 256, depth: int = 8, octaves: int = 4, code: int = 8) -> None:
        super().__init__()
        self.octaves = octaves
        self.pose_code = PoseCode(bones, code) if code else None
        self.mlp = Mlp(3 + 6 * octaves, 1, width, depth, skip=4, join=4, condition=code, geometric=True)

    def forward(
        self, points: Float[Tensor, "point 3"], code: Float[Tensor, "point code"] | None = None
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at canonical points (metres), positive inside."""
        return self.mlp(positional_encoding(points, self.octaves), code)[:, 0]
