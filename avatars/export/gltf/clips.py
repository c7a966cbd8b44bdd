"""Animation clips in a GLB file: turns of bones, the place of the first one, and weights of morph targets."""

from collections.abc import Sequence

import numpy as np
import pygltflib
from jaxtyping import Float
from torch import Tensor

from avatars.export.gltf.binding import Binding
from avatars.export.gltf.glb import Glb
from avatars.export.rig import RigMotion

_SAME = 1e-6
"""Values that differ by no more than this in a whole clip stand still."""


def add_clips(glb: Glb, binding: Binding, motions: Sequence[RigMotion], bones: Sequence[int], surface: int) -> None:
    """Add a clip for each motion, on the nodes of the bones and of the mesh; a repeated name gets a number."""
    taken: set[str] = set()
    for motion in motions:
        number, name = 2, motion.name
        while name in taken:
            number, name = number + 1, f"{motion.name}_{number}"
        taken.add(name)
        _add_clip(glb, name, binding, motion, bones, surface)


def _add_clip(glb: Glb, name: str, binding: Binding, motion: RigMotion, bones: Sequence[int], surface: int) -> None:
    clip = _Clip(glb, name, len(motion), motion.frame_rate)
    places = binding.offsets()[0] + motion.translations.double().cpu()
    clip.track(bones[0], "translation", places.float().numpy(), always=True)
    turns = continuous_quaternions(binding.local_turns(motion.rotations))
    for bone, node in enumerate(bones):
        clip.track(node, "rotation", turns[:, bone], always=bone == 0)
    if motion.morph_weights.shape[1]:
        clip.track(surface, "weights", motion.morph_weights.float().cpu().numpy())
    glb.gltf.animations.append(clip.animation)


class _Clip:
    """A clip whose tracks share their times: all frames, or first and last for what stands still."""

    def __init__(self, glb: Glb, name: str, frames: int, frame_rate: float) -> None:
        self._glb = glb
        self.animation = pygltflib.Animation(name=name)
        self._times = (np.arange(frames, dtype=np.float64) / frame_rate).astype(np.float32)[:, None]
        self._inputs: dict[int, int] = {}

    def track(self, node: int, path: str, values: Float[np.ndarray, "frame width"], *, always: bool = False) -> None:
        """Animate a property of a node; `always` keeps all keys of one that stands still."""
        keys = np.arange(len(values))
        if not always and np.abs(values - values[:1]).max() <= _SAME:
            keys = keys[[0, -1]] if len(keys) > 1 else keys
        if path == "weights":
            output = self._glb.accessor(values[keys].reshape(-1, 1))
        else:
            output = self._glb.accessor(values[keys])
        sampler = pygltflib.AnimationSampler(input=self._input(len(keys)), output=output)
        self.animation.samplers.append(sampler)
        target = pygltflib.AnimationChannelTarget(node=node, path=path)
        index = len(self.animation.samplers) - 1
        self.animation.channels.append(pygltflib.AnimationChannel(sampler=index, target=target))

    def _input(self, count: int) -> int:
        if count not in self._inputs:
            times = self._times if count == len(self._times) else self._times[[0, -1]]
            self._inputs[count] = self._glb.accessor(times, bounds=True)
        return self._inputs[count]


def continuous_quaternions(rotations: Float[Tensor, "frame bone 4"]) -> Float[np.ndarray, "frame bone 4"]:
    """Quaternions (XYZW), each on the side of the one before, so that no engine goes round."""
    turns = rotations.double().cpu().numpy()
    flips = np.where((turns[1:] * turns[:-1]).sum(-1) < 0, -1.0, 1.0)
    signs = np.concatenate([np.ones_like(turns[:1, :, 0]), np.cumprod(flips, axis=0)])
    return (turns * signs[..., None]).astype(np.float32)
