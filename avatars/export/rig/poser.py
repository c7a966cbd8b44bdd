"""A rig posed as fast as an engine does it: morphs by matrix products, skinning by a fused kernel."""

from functools import cache
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.rig.rig import Rig
from avatars.fields.launches import as_warp, on_all_cores
from body_models import InputError
from body_models.precision import full_precision
from body_models.skeleton import invert_rigid
from data_prep.warp_runtime import on_torch_stream, start_warp

NUMBERS_AT_ONCE = 2**21
"""Coordinates that morphs move together: what a processor's cache holds."""


class RigPoser:
    """Poses one rig again and again, on the device of its tensors; equal to `Rig.pose`."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._bones = rig.bones.to(torch.int32).contiguous()
        self._weights = rig.weights.float().contiguous()
        self._rest = rig.vertices.float().reshape(1, -1).contiguous()
        self._joints = rig.joints.float().contiguous()
        self._parents = torch.tensor(rig.skeleton.parents, dtype=torch.int32, device=rig.joints.device)
        self._rest_from_bind = invert_rigid(rig.bind_from_rest())[:, :3].float().contiguous()
        self._morphs = rig.morphs.float().flatten(1).contiguous()

    @torch.no_grad()
    def pose(
        self,
        rotations: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        morph_weights: Float[Tensor, "frame morph"] | None = None,
    ) -> Float[Tensor, "frame vertex 3"]:
        """The vertices in some frames: axis-angle of the rig's bones (radians), places of the first one (metres).

        Without weights of morphs the face is neutral and correctives follow from the pose. Raises InputError for other
        numbers of bones, places or morphs than the rig and the frames have.
        """
        rig, device = self.rig, self._rest.device
        _check(rig, rotations, translations, morph_weights)
        rotations, translations = rotations.to(self._rest), translations.to(self._rest)
        if morph_weights is None:
            morph_weights = rig.morph_weights(rotations)
        transforms = self._posed_from_bind(rotations.contiguous(), translations.contiguous())
        posed = torch.empty(len(rotations), len(rig.vertices), 3, device=device)
        step = len(posed) if len(rig.morphs) == 0 else max(1, NUMBERS_AT_ONCE // max(1, self._rest.shape[1]))
        weights = morph_weights.to(self._rest)
        for start in range(0, len(posed), max(1, step)):
            part = slice(start, start + step)
            self._skin(self._morphed(weights[part]), transforms[part], posed[part])
        return posed

    def _posed_from_bind(
        self, rotations: Float[Tensor, "frame bone 3"], translations: Float[Tensor, "frame 3"]
    ) -> Float[Tensor, "frame bone 3 4"]:
        """Forward kinematics, as `Rig.posed_from_bind`."""
        warp, kernels = start_warp(), _kernels()
        world, transforms = (rotations.new_empty(*rotations.shape[:2], 3, 4) for _ in range(2))
        arrays = [
            as_warp(rotations, warp.vec3),
            as_warp(translations, warp.vec3),
            as_warp(self._joints, warp.vec3),
            as_warp(self._parents, warp.int32),
            as_warp(self._rest_from_bind, kernels.Affine),
            as_warp(world, kernels.Affine),
            as_warp(transforms, kernels.Affine),
        ]
        with on_torch_stream(rotations.device):
            warp.launch(kernels.bones_kernel, dim=len(rotations), inputs=arrays, device=str(rotations.device))
        return transforms

    def _morphed(self, weights: Float[Tensor, "frame morph"]) -> Float[Tensor, "some vertex 3"]:
        """Vertices in the bind pose with their morphs; one frame for all where there are none."""
        used = weights.any(0).nonzero()[:, 0] if weights.device.type == "cpu" else None
        if weights.shape[1] == 0 or (used is not None and len(used) == 0):
            return self._rest.view(1, -1, 3)
        few = used is not None and 2 * len(used) < weights.shape[1]
        shares, morphs = (weights[:, used], self._morphs[used]) if few else (weights, self._morphs)
        with full_precision():
            return torch.addmm(self._rest, shares, morphs).view(len(weights), -1, 3)

    def _skin(
        self,
        moved: Float[Tensor, "some vertex 3"],
        transforms: Float[Tensor, "frame bone 3 4"],
        posed: Float[Tensor, "frame vertex 3"],
    ) -> None:
        warp, kernels = start_warp(), _kernels()
        arrays = [
            as_warp(transforms, kernels.Affine),
            as_warp(self._bones, warp.int32),
            as_warp(self._weights, warp.float32),
            as_warp(moved, warp.vec3),
            as_warp(posed, warp.vec3),
        ]
        device, count = str(posed.device), posed.shape[0] * posed.shape[1]

        def run(start: int, stop: int) -> None:
            warp.launch(kernels.skin_kernel, dim=stop - start, inputs=[start, *arrays], device=device)

        if count:
            on_all_cores(kernels.skin_kernel, run, count, posed.device)


def _check(rig: Rig, rotations: Tensor, translations: Tensor, morph_weights: Tensor | None) -> None:
    frames, bones = len(rotations), len(rig.skeleton)
    if rotations.shape[1:] != (bones, 3) or translations.shape != (frames, 3):
        raise InputError(
            f"Rotations of shape {tuple(rotations.shape)} and places of {tuple(translations.shape)} do not fit rig "
            f"'{rig.name}': expected (frames, {bones}, 3) and (frames, 3). `rig_motion` makes both from a clip."
        )
    if morph_weights is not None and morph_weights.shape != (frames, len(rig.morphs)):
        raise InputError(
            f"Morph weights of shape {tuple(morph_weights.shape)} do not fit rig '{rig.name}': expected "
            f"({frames}, {len(rig.morphs)}), expressions first. `rig_motion` makes them from a clip."
        )


@cache
def _kernels() -> ModuleType:
    start_warp()
    from avatars.export.rig import _poser_kernel

    return _poser_kernel
