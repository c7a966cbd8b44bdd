"""Occupancy in the root's frame that is told the pose, without any skinning (Pose-ONet in SNARF's paper)."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.fields.occupancy import MlpOccupancy
from body_models import Skeleton
from body_models.skeleton import rotation_matrices


class PoseConditionedOccupancy(nn.Module):
    """SNARF's occupancy MLP about the root joint; every limb's place must come from the pose code."""

    root: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        joints: Float[Tensor, "bone 3"],
        width: int = 128,
        depth: int = 8,
        octaves: int = 4,
        code: int = 64,
    ) -> None:
        super().__init__()
        self.register_buffer("root", joints[0].clone())
        self.occupancy = MlpOccupancy(len(skeleton), width, depth, octaves, code)

    def pose_code(self, pose: Float[Tensor, "frame bone 3"]) -> None:
        """Nothing: the whole pose is always told, in `forward`; hiding it, as SNARF's fit does, would take all away."""

    def forward(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
        code: Float[Tensor, "frame code"] | None = None,
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at posed points (metres), positive inside; `code` is not looked at."""
        turned = posed - (self.root + translation)[frame]
        local = (rotation_matrices(pose[:, :1])[frame, 0] * turned[:, :, None]).sum(1)
        told = self.occupancy.pose_code
        return self.occupancy(local, None if told is None else told(pose)[frame])
