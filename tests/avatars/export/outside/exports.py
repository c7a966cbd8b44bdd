"""Small exported avatars, each with a clip, made once for all programs that judge them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from avatars.export.driving.motions import motion_on
from avatars.export.gltf import write_glb
from avatars.export.look import Look, textured
from avatars.export.rig import Correctives, Rig, RigMotion, rig_motion, source_of
from avatars.export.rig.bake import plain_rig
from avatars.export.rig.unit_range import in_unit_range
from body_models import Motion
from tests.avatars.export.outside.rigs import checkered, tiny_clip, tiny_rig
from tests.avatars.head_drivers import acting_head, talker
from tests.avatars.small_avatar import small_avatar

KINDS = ("tiny", "body", "head")
FRAMES = 6


@dataclass(frozen=True)
class Exported:
    """A GLB file beside what it was written from."""

    path: Path
    rig: Rig
    motion: RigMotion
    look: Look

    def times(self, frames: list[int]) -> list[float]:
        """Seconds at which frames are shown."""
        return [frame / self.motion.frame_rate for frame in frames]

    def posed(self, frames: list[int]) -> Float[np.ndarray, "frame vertex 3"]:
        """Where we say that the vertices are in frames (metres)."""
        return torch.cat([self.rig.pose(self.motion.frame(frame)) for frame in frames]).numpy()


def exported(kind: str, folder: Path) -> Exported:
    """One of KINDS as a GLB in a folder, its correctives in unit range as `avatars export` writes them."""
    rig, motion, look = {"tiny": _tiny, "body": _body, "head": _head}[kind]()
    rig, (motion,) = in_unit_range(rig, [motion])
    return Exported(write_glb(folder / f"{kind}.glb", rig, [motion], look), rig, motion, look)


def _tiny() -> tuple[Rig, RigMotion, Look]:
    rig = tiny_rig()
    clip = tiny_clip(rig, FRAMES)
    weights = clip.morph_weights.clone()
    weights[:, : rig.expressions].clamp_(0, 1)
    return rig, replace(clip, morph_weights=weights), Look(checkered(), checkered(), unlit=False)


def _body() -> tuple[Rig, RigMotion, Look]:
    avatar = small_avatar()
    source = source_of(avatar, 64)
    rig, look = textured(plain_rig(source, 3000, 4), source, 128)
    return rig, rig_motion(avatar, rig, walk()), replace(look, colour=checkered(128))


def _head() -> tuple[Rig, RigMotion, Look]:
    avatar = acting_head()
    source = source_of(avatar, 64)
    rig, look = textured(with_made_up_correctives(plain_rig(source, 3000, 4)), source, 128)
    return rig, rig_motion(avatar, rig, motion_on(avatar, talker(FRAMES))), look


def walk() -> Motion:
    """The small avatar swings arms and legs about its canonical pose and goes forward by a step."""
    avatar = small_avatar()
    phase = torch.linspace(0, 1.5 * torch.pi, FRAMES)
    rotations = avatar.model.canonical_pose.repeat(FRAMES, 1, 1)
    for name, amount in (("left_hip", 0.7), ("right_hip", -0.7), ("left_shoulder", -0.5), ("right_shoulder", 0.5)):
        rotations[:, avatar.skeleton.index(name), 0] += amount * torch.sin(phase)
    rotations[:, avatar.skeleton.index("left_knee"), 0] += 0.6 * (1 - torch.cos(phase))
    rotations[:, 0, 1] += 0.2 * torch.sin(2 * phase)
    translations = torch.tensor([0.02, 0.9, 0.3]) * torch.linspace(0, 1, FRAMES)[:, None]
    return Motion("walk", avatar.skeleton, avatar.body().joints, rotations, translations, 30.0)


def with_made_up_correctives(rig: Rig, count: int = 3) -> Rig:
    """The rig with smooth displacements of some millimetres that its pose drives, also by weights beyond 0 to 1."""
    generator = torch.Generator().manual_seed(0)
    waves = torch.sin(30 * rig.vertices @ torch.randn(3, 3 * count, generator=generator))
    morphs = 0.004 * waves.unflatten(1, (count, 3)).transpose(0, 1)
    matrix = 4 * torch.randn(9 * (len(rig.skeleton) - 1), count, generator=generator)
    names = tuple(f"corrective_{number:03d}" for number in range(count))
    assert rig.correctives is None
    return replace(
        rig,
        morphs=torch.cat([rig.morphs, morphs]),
        morph_names=rig.morph_names + names,
        correctives=Correctives(matrix, torch.tensor([0.0, 0.3, -0.5])),
    )
