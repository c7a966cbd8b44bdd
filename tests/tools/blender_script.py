"""Runs inside Blender: open a GLB or FBX, count what came in, and pose it at given times.

blender --background --factory-startup --python blender_script.py -- PACKAGES FILE OUT.npz WISHES   (JSON)
"""

import json
import math
import os
import sys

sys.path.append(os.path.dirname(__file__))

from blender_start import arguments, bpy, np

path, out, wishes = arguments


def main():
    wish = json.loads(wishes)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = round(wish["frame_rate"])
    if path.endswith(".fbx"):
        bpy.ops.import_scene.fbx(filepath=path, anim_offset=0.0)
    else:
        bpy.ops.import_scene.gltf(filepath=path, merge_vertices=False)
    meshes = [thing for thing in bpy.data.objects if thing.type == "MESH" and thing.users_scene]
    skinned = [mesh for mesh in meshes if any(step.type == "ARMATURE" for step in mesh.modifiers)]
    arrays = {"counts": np.frombuffer(json.dumps(counts(skinned)).encode(), np.uint8)}
    if wish["open_sliders"]:
        open_sliders(skinned)
    if wish["clip"]:
        choose(wish["clip"])
    shots = [posed(skinned, time) for time in wish["times"]]
    arrays["posed"] = np.stack(shots) if shots else np.zeros((0, 0, 3))
    np.savez(out, **arrays)


def shape_keys_of(meshes):
    return [mesh.data.shape_keys for mesh in meshes if mesh.data.shape_keys]


def open_sliders(meshes):
    """Let weights of shape keys be what they are animated to, beyond the ends of their sliders."""
    for keys in shape_keys_of(meshes):
        for key in keys.key_blocks[1:]:
            key.slider_min, key.slider_max = -10.0, 10.0


def choose(clip):
    """Play the actions of one clip, which are called CLIP_OWNER after a GLB and OWNER|CLIP after an FBX file."""
    actions = [action for action in bpy.data.actions if clip in action.name.replace("|", "_").split("_")]
    for action in actions:
        paths = [curve.data_path for curve in action.fcurves]
        if any(path.startswith("pose.") for path in paths):
            owners = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
        else:
            owners = [*bpy.data.shape_keys] if any(path.startswith("key_blocks") for path in paths) else []
        for owner in owners:
            owner.animation_data_create().action = action


def counts(meshes):
    bones = [bone for armature in bpy.data.armatures for bone in armature.bones]
    keys = [key for mesh in meshes if mesh.data.shape_keys for key in mesh.data.shape_keys.key_blocks[1:]]
    animated = [*bpy.data.objects, *(mesh.data.shape_keys for mesh in meshes if mesh.data.shape_keys)]
    tracks = {track.name for thing in animated if thing.animation_data for track in thing.animation_data.nla_tracks}
    influences = [len([g for g in vertex.groups if g.weight > 0]) for mesh in meshes for vertex in mesh.data.vertices]
    sums = [sum(g.weight for g in vertex.groups) for mesh in meshes for vertex in mesh.data.vertices]
    pictures = [picture for picture in bpy.data.images if picture.size[0] > 0]
    return {
        "version": bpy.app.version_string,
        "meshes": len(meshes),
        "vertices": sum(len(mesh.data.vertices) for mesh in meshes),
        "faces": sum(len(mesh.data.polygons) for mesh in meshes),
        "joints": [bone.name for bone in bones],
        "parents": [bone.parent.name if bone.parent else "" for bone in bones],
        "vertex_groups": sorted({group.name for mesh in meshes for group in mesh.vertex_groups}),
        "most_influences": max(influences, default=0),
        "weight_sums": [min(sums, default=1.0), max(sums, default=1.0)],
        "shape_keys": [key.name for key in keys],
        "slider_ranges": [[key.slider_min, key.slider_max] for key in keys],
        "actions": [action.name for action in bpy.data.actions],
        "clips": sorted(tracks),
        "textures": [[picture.name, *picture.size] for picture in pictures],
        "materials": [material.name for material in bpy.data.materials],
        "uv_layers": sum(len(mesh.data.uv_layers) for mesh in meshes),
    }


def posed(meshes, time):
    """Vertices of all meshes in the world at a time, Y up (metres)."""
    scene = bpy.context.scene
    frame = time * scene.render.fps / scene.render.fps_base
    whole = math.floor(frame + 1e-6)
    scene.frame_set(whole, subframe=min(max(frame - whole, 0.0), 0.999999))
    graph = bpy.context.evaluated_depsgraph_get()
    parts = []
    for mesh in meshes:
        evaluated = mesh.evaluated_get(graph)
        data = evaluated.to_mesh()
        points = np.empty(3 * len(data.vertices))
        data.vertices.foreach_get("co", points)
        world = np.array(evaluated.matrix_world)
        parts.append(points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
        evaluated.to_mesh_clear()
    x, y, z = np.concatenate(parts).T
    return np.stack([x, z, -y], axis=1)


main()
