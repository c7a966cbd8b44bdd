"""The space in which all people of a prior are alike, and what carries it to a person's own build and pose."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.fields.patches import PatchedGrid, patched_grid
from avatars.fields.reading import read
from body_models import Skeleton
from body_models.precision import matmul
from body_models.skeleton import invert_rigid, posed_from_rest, rotation_matrices, transform_points


class PeopleSpace(nn.Module):
    """Joints and blendshapes of a body model in the canonical pose of its mean build (metres, Y up, facing +Z)."""

    joints: Tensor
    joint_basis: Tensor
    canonical_pose: Tensor
    box: Tensor
    parts: Tensor
    segment_tails: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        joints: Float[Tensor, "bone 3"],
        joint_basis: Float[Tensor, "betas bone 3"],
        canonical_pose: Float[Tensor, "bone 3"],
        box: Float[Tensor, "2 3"],
        parts: Float[Tensor, "part 2 3"],
        segment_tails: Float[Tensor, "bone 3"],
        spacing: float,
    ) -> None:
        super().__init__()
        self.skeleton = skeleton
        for name, value in {
            "joints": joints,
            "joint_basis": joint_basis,
            "canonical_pose": canonical_pose,
            "box": box,
            "parts": parts,
            "segment_tails": segment_tails,
        }.items():
            self.register_buffer(name, value.clone())
        self.grid: PatchedGrid = patched_grid(box[0], box[1], spacing)
        self.basis = nn.Parameter(torch.zeros(len(joint_basis), self.grid.count * 3))
        """Displacement at the grid's nodes that each number of the body's shape causes in the canonical pose."""

    @property
    def betas(self) -> int:
        """How many numbers of the body's shape there are."""
        return len(self.joint_basis)

    def start_from(self, basis: Float[Tensor, "node betas 3"]) -> None:
        """Begin at given displacements by body shape, a row a node (metres)."""
        with torch.no_grad():
            self.basis.copy_(basis.transpose(0, 1).flatten(1))

    def joints_of(self, betas: Float[Tensor, "frame betas"]) -> Float[Tensor, "frame bone 3"]:
        """Joints at rest of people of some builds (metres)."""
        return self.joints + matmul(betas, self.joint_basis.flatten(1)).unflatten(1, (-1, 3))

    def canonical_from_rest(self, betas: Float[Tensor, "frame betas"]) -> Float[Tensor, "frame bone 4 4"]:
        """Bone transforms from rest to the canonical pose of each build."""
        joints = self.joints_of(betas)
        still = joints.new_zeros(len(joints), 3)
        return posed_from_rest(rotation_matrices(self.canonical_pose)[None], still, joints, self.skeleton.parents)

    def similarity(self, betas: Float[Tensor, "frame betas"]) -> Float[Tensor, "frame 4 4"]:
        """The scaling and shift that brings the mean build's canonical joints nearest to those of each build.

        Every bone shares it: so a child's bones are where a search looks for them, and offsets are small.
        """
        none = betas.new_zeros(1, betas.shape[1])
        own, mean = (transform_points(self.canonical_from_rest(b), self.joints_of(b)) for b in (betas, none))
        centre, mean_centre = own.mean(1), mean.mean(1)
        scale = (own - centre[:, None]).norm(dim=(1, 2)) / (mean - mean_centre[:, None]).norm(dim=(1, 2))
        matrix = torch.eye(4).to(betas).repeat(len(betas), 1, 1)
        matrix[:, :3, :3] *= scale[:, None, None]
        matrix[:, :3, 3] = centre - scale[:, None] * mean_centre
        return matrix

    def posed_from_canonical(
        self,
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
        betas: Float[Tensor, "frame betas"],
    ) -> Float[Tensor, "frame bone 4 4"]:
        """Bone transforms from the shared space, but for `offsets`, to each person in a pose."""
        posed = posed_from_rest(rotation_matrices(pose), translation, self.joints_of(betas), self.skeleton.parents)
        rigid = matmul(posed, invert_rigid(self.canonical_from_rest(betas)))
        return matmul(rigid, self.similarity(betas)[:, None])

    def offsets(self, betas: Float[Tensor, "frame betas"]) -> Float[Tensor, "frame node 3"]:
        """What the body's shape adds at the grid's nodes, in the shared space: the rest of it is the similarity."""
        nodes = self.grid.nodes().to(betas)
        moved = nodes + matmul(betas, self.basis).unflatten(1, (-1, 3))
        similar = self.similarity(betas)
        return (moved - similar[:, None, :3, 3]) / similar[:, None, :1, 0] - nodes

    def warp_error(
        self, points: Float[Tensor, "vertex 3"], displacements: Float[Tensor, "betas vertex 3"]
    ) -> Float[Tensor, ""]:
        """How far the offsets miss the body model's own displacements at its vertices, one deviation of each beta.

        The counterpart of the publication's warp loss (gDNA, section 3.4): mean square distance (square metres).
        """
        table = self.basis.unflatten(1, (-1, 3)).transpose(0, 1).flatten(1)
        learned = read(table, self.grid, points).unflatten(1, (-1, 3)).transpose(0, 1)
        return (learned - displacements).square().sum(-1).mean()
