"""Methods of the literature that SNARF is held against, on the same occupancy networks, losses and points."""

from avatars.models.baselines.backward import BackwardSkinning
from avatars.models.baselines.inverse import InverseSkinning
from avatars.models.baselines.nearest import NearestVertexSkinning
from avatars.models.baselines.pose_conditioned import PoseConditionedOccupancy

__all__ = [
    "BackwardSkinning",
    "InverseSkinning",
    "NearestVertexSkinning",
    "PoseConditionedOccupancy",
]
