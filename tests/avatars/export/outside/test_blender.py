"""Blender opens our files and puts every vertex where we do."""

import numpy as np

from avatars.export.gltf import write_glb
from tests.avatars.export.outside.rigs import tiny_clip, tiny_rig
from tests.tools import in_blender

MILLIMETRE = 1e-3
FRAMES = [0, 2, 4]


def test_it_counts_what_we_wrote_and_poses_it_as_we_do(model):
    seen = in_blender(model.path, model.times(FRAMES))
    rig, counts = model.rig, seen.counts
    names = rig.skeleton.joint_names
    parents = ["" if parent < 0 else names[parent] for parent in rig.skeleton.parents]
    assert dict(zip(counts["joints"], counts["parents"], strict=True)) == dict(zip(names, parents, strict=True))
    assert set(counts["vertex_groups"]) <= set(names)
    assert counts["most_influences"] <= 4
    np.testing.assert_allclose(counts["weight_sums"], 1.0, atol=1e-4)
    assert counts["shape_keys"] == list(rig.morph_names)
    assert counts["clips"] == [model.motion.name]
    assert len(counts["actions"]) == (2 if rig.morph_names else 1)
    assert (counts["vertices"], counts["faces"]) == (len(rig.vertices), len(rig.faces))
    worn = [model.look.colour] if model.look.unlit else [model.look.colour, model.look.normal]
    assert [picture[1:] for picture in counts["textures"]] == [list(picture.shape[1::-1]) for picture in worn]
    np.testing.assert_allclose(seen.posed, model.posed(FRAMES), atol=MILLIMETRE)


def test_weights_beyond_0_to_1_are_followed_once_the_sliders_are_opened(tmp_path):
    """The file is right; but Blender's importer widens a slider to a clip's first weight only, see `in_unit_range`."""
    rig = tiny_rig()
    clip = tiny_clip(rig)
    seen = in_blender(write_glb(tmp_path / "tiny.glb", rig, [clip]), [4 / clip.frame_rate], open_sliders=True)
    assert clip.morph_weights[4].max() > 1.5
    assert clip.morph_weights[4].min() < -0.5
    np.testing.assert_allclose(seen.posed[0], rig.pose(clip.frame(4))[0].numpy(), atol=MILLIMETRE)
