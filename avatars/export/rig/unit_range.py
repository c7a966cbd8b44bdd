"""Correctives whose weights stay between 0 and 1, the ends at which Blender and others stop a morph target."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from avatars.export.rig.clip import RigMotion
from avatars.export.rig.rig import Correctives, Rig

_STILL = 1e-6
"""Correctives that move the mesh by less than this in all motions keep their scale (metres)."""


def in_unit_range(rig: Rig, motions: Sequence[RigMotion]) -> tuple[Rig, list[RigMotion]]:
    """The same rig and motions, with correctives scaled and shifted so that all their weights lie in [0, 1].

    What a corrective does at its least weight becomes part of the mesh, so poses stay what they were; expressions keep
    their meaning and their weights. Needed since Blender's importer of glTF widens the range of a shape key to the
    first weight of a clip only, and cuts off all others that leave 0 to 1.
    """
    if rig.correctives is None or len(rig.correctives.bias) == 0:
        return rig, list(motions)
    first = rig.expressions
    seen = torch.cat([rig.morph_weights(rig.bind_pose[None]), *(motion.morph_weights for motion in motions)])[:, first:]
    low, span = seen.amin(0), seen.amax(0) - seen.amin(0)
    own = rig.morphs[first:]
    span = torch.where(span * own.norm(dim=2).amax(1) < _STILL, 1.0, span)
    scaled = replace(
        rig,
        vertices=rig.vertices + (low[:, None, None] * own).sum(0),
        morphs=torch.cat([rig.morphs[:first], span[:, None, None] * own]),
        correctives=Correctives(rig.correctives.matrix / span, (rig.correctives.bias - low) / span),
    )
    moved = []
    for motion in motions:
        weights = motion.morph_weights.clone()
        weights[:, first:] = ((weights[:, first:] - low) / span).clamp(0, 1)  # rounding could leave the range by a hair
        moved.append(replace(motion, morph_weights=weights))
    return scaled, moved
