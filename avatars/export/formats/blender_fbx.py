"""Runs inside Blender: `blender --python blender_fbx.py -- PACKAGES IN.glb OUT.fbx FRAMES_A_SECOND`."""

import math
import sys
from typing import Any


def main(packages: str, source: str, target: str, frame_rate: float) -> None:
    """Import a GLB and export it as FBX with every clip, in centimetres, Y up."""
    sys.path.append(packages)
    import bpy
    import numpy as np

    if not hasattr(np, "bool"):
        # Blender 3.4's importer of glTF uses it; NumPy 1.24, which Debian pairs with it, dropped it
        setattr(np, "bool", bool)  # noqa: B010

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = max(1, round(frame_rate))
    scene.render.fps_base = scene.render.fps / frame_rate
    scene.unit_settings.scale_length = 0.01  # the importer turns metres into these, and they are FBX's own unit
    bpy.ops.import_scene.gltf(filepath=source, merge_vertices=False, bone_heuristic="BLENDER")
    for empty in [thing for thing in bpy.data.objects if thing.type == "EMPTY" and not thing.children]:
        bpy.data.objects.remove(empty)  # where an animated mesh hung before the importer put it below its bones
    _one_timeline(bpy)
    bpy.ops.export_scene.fbx(
        filepath=target,
        use_selection=False,
        object_types={"ARMATURE", "MESH"},
        apply_scale_options="FBX_SCALE_NONE",
        add_leaf_bones=False,
        use_armature_deform_only=False,
        path_mode="COPY",
        embed_textures=True,
        bake_anim=bool(bpy.data.actions),
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=True,
        bake_anim_simplify_factor=0.0,
    )


def _one_timeline(bpy: Any) -> None:
    """Put all clips one after another, bones and morph targets side by side: the exporter plays strips of the bones."""
    owners = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
    for keys in [mesh.shape_keys for mesh in bpy.data.meshes if mesh.shape_keys]:
        owners.append(keys)
        for key in keys.key_blocks[1:]:
            key.slider_min, key.slider_max = -10.0, 10.0  # else animation stops at the ends of the slider
    clips: dict[str, list[Any]] = {}
    for moved in [owner.animation_data for owner in owners if owner.animation_data]:
        for track in list(moved.nla_tracks):
            clips.setdefault(track.name, []).append((moved, track.strips[0].action))
            moved.nla_tracks.remove(track)
        moved.action = None
    start = 0
    for name, parts in clips.items():
        for moved, action in parts:
            track = moved.nla_tracks.new()
            strip = track.strips.new(name, start, action)
            strip.name, strip.extrapolation = name, "NOTHING"
        start += math.ceil(max(action.frame_range[1] for _, action in parts)) + 2


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :]
    main(given[0], given[1], given[2], float(given[3]))
