import numpy as np
import pytest
import roma
import torch

from avatars.export.gltf import bone_names, write_glb
from avatars.export.gltf.binding import bound_for
from avatars.export.rig import Rig, RigMotion
from body_models.gltf import Document, world_transforms
from body_models.skeleton import invert_rigid, posed_from_rest, rotation_matrices, transform_points
from data_prep.gltf_skin import read_posed_meshes
from tests.avatars.export.gltf.small_rigs import body_rig, clip, head_rig

RIGS = ["compact", "hands", "full"]
NEAR = 1e-5
"""Metres."""
SIDES = (("Left", 1.0), ("Right", -1.0))


def nodes_of(path, rig: Rig) -> dict[str, np.ndarray]:
    """World transforms of the bones' nodes as the file shows them without a clip, by name."""
    document = Document(path)
    world = world_transforms(document, {})
    named = {node.name: world[index] for index, node in enumerate(document.gltf.nodes)}
    return {name: named[name] for name in bone_names(rig.skeleton, "mixamo")}


def joint_places(rig: Rig, motion: RigMotion) -> torch.Tensor:
    turns = rotation_matrices(motion.rotations)
    posed = posed_from_rest(turns, motion.translations, rig.joints, rig.skeleton.parents)
    return transform_points(posed, rig.joints.expand(len(motion), -1, -1))


@pytest.mark.parametrize("bones", RIGS)
def test_without_a_clip_a_mixamo_body_stands_in_a_t_on_the_ground(tmp_path, bones):
    path = write_glb(tmp_path / "a.glb", body_rig(bones), names="mixamo")
    nodes = nodes_of(path, body_rig(bones))
    at = {name.removeprefix("mixamorig:"): place[:3, 3] for name, place in nodes.items()}
    for side, outward in SIDES:
        for start, end in (("Arm", "ForeArm"), ("ForeArm", "Hand")):
            limb = at[side + end] - at[side + start]
            assert outward * limb[0] / np.linalg.norm(limb) > 0.9998
        for start, end in (("UpLeg", "Leg"), ("Leg", "Foot")):
            limb = at[side + end] - at[side + start]
            assert -limb[1] / np.linalg.norm(limb) > 0.9998
    vertices = read_posed_meshes(path)[0].vertices
    assert abs(vertices[:, 1].min()) < NEAR
    assert at["Hips"][1] > 0.45 * np.ptp(vertices[:, 1])
    assert np.ptp(vertices[:, 0]) > 0.9 * np.ptp(vertices[:, 1])


@pytest.mark.parametrize("standard", ["model", "mixamo", "vrm"])
@pytest.mark.parametrize("bones", RIGS)
def test_nodes_are_where_joints_are(bones, standard):
    rig = body_rig(bones)
    moves = clip(rig, frames=4)
    binding, (moved,) = bound_for(rig, [moves], standard)
    turns, offsets = roma.unitquat_to_rotmat(binding.local_turns(moved.rotations)), binding.offsets()
    steps = torch.eye(4).double().repeat(*turns.shape[:2], 1, 1)
    steps[..., :3, :3], steps[..., :3, 3] = turns, offsets
    steps[:, 0, :3, 3] += moved.translations
    world: list[torch.Tensor] = []
    for bone, parent in enumerate(rig.skeleton.parents):
        world.append(steps[:, bone] if parent < 0 else world[parent] @ steps[:, bone])
    nodes = torch.stack(world, 1)
    torch.testing.assert_close(nodes[..., :3, 3].float(), joint_places(rig, moves), atol=NEAR, rtol=0)
    skinning = (nodes @ invert_rigid(binding.world_from_bone())).float()
    own = binding.rig.posed_from_bind(moved.rotations, moved.translations)
    torch.testing.assert_close(skinning, own, atol=2 * NEAR, rtol=0)


def test_a_mixamo_clip_is_the_rigs_own_but_for_how_skin_bends(tmp_path):
    rig = body_rig()
    moves = clip(rig, frames=5)
    moves = RigMotion(moves.name, moves.rotations * 0.2, moves.translations, moves.morph_weights, moves.frame_rate)
    files = [write_glb(tmp_path / f"{names}.glb", rig, [moves], names=names) for names in ("model", "mixamo")]
    plain, mixamo = (np.stack([mesh.vertices for mesh in read_posed_meshes(path, 4)]) for path in files)
    binding, (moved,) = bound_for(rig, [moves], "mixamo")
    assert np.abs(mixamo - binding.rig.pose(moved).numpy()[:-1]).max() < 1e-4
    apart = np.linalg.norm(mixamo - plain, axis=2)
    assert apart.mean() < 1e-3
    assert apart.max() < 0.03


def test_a_rest_turn_of_each_bone_is_told_to_readers_of_motions(tmp_path):
    rig = body_rig()
    extras = [
        Document(write_glb(tmp_path / "a.glb", rig, names=names)).gltf.skins[0].extras["restIsUnturned"]
        for names in ("model", "vrm", "mixamo")
    ]
    assert extras[:2] == [True, True]
    binding, _ = bound_for(rig, [], "mixamo")
    assert np.allclose(extras[2], binding.axes.numpy())


def test_a_head_keeps_its_binding():
    rig = head_rig()
    binding, (moves,) = bound_for(rig, [clip(rig)], "mixamo")
    assert binding.rig is rig
    assert binding.plain
    assert torch.equal(moves.translations, clip(rig).translations)


def test_turns_of_half_a_circle_are_written_as_unit_quaternions():
    binding, (moves,) = bound_for(body_rig("hands"), [clip(body_rig("hands"))], "mixamo")
    turns = binding.local_turns(moves.rotations).float()
    assert float(turns.abs().max()) <= 1.0
    assert (turns.norm(dim=-1) - 1).abs().max() < 1e-6
