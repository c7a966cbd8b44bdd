"""Runs inside Blender: `blender --python blender_fbx.py -- PACKAGES IN.glb OUT.fbx FRAMES_A_SECOND lit|shining`."""

import math
import sys
from pathlib import Path
from typing import Any

MATT = 0.9
"""Roughness; at 1 the exponent of FBX's highlights is 0, and shaders may make 0 to the power of 0 of it."""


def main(packages: str, source: str, target: str, frame_rate: float, shining: bool) -> None:
    """Import a GLB and export it as FBX with every clip, in centimetres, Y up; `shining` surfaces take no light."""
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
    if shining:
        _shine_alone(bpy)
    else:
        _matt(bpy)
    _no_specular_colour()
    scene.frame_set(_one_timeline(bpy))  # nodes rest as they stand at the current frame: after all clips, bound
    _name_pictures(bpy, Path(target).stem)
    _leave_out_folders()
    _stand_up(bpy)
    bpy.ops.export_scene.fbx(
        filepath=target,
        use_selection=False,
        object_types={"ARMATURE", "MESH"},
        apply_scale_options="FBX_SCALE_NONE",
        use_space_transform=False,
        add_leaf_bones=False,
        use_armature_deform_only=False,
        path_mode="COPY",
        embed_textures=True,
        bake_anim=bool(bpy.data.actions),
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=True,
        bake_anim_simplify_factor=0.0,
    )


def _shine_alone(bpy: Any) -> None:
    """Have surfaces give off their colours and reflect nothing: FBX has no materials without light."""
    for tree, surface in _surfaces(bpy):
        colour, light = surface.inputs["Base Color"], _input(surface, "Emission", "Emission Color")
        for link in list(colour.links):
            tree.links.new(link.from_socket, light)
            tree.links.remove(link)
            colour.default_value = (1.0, 1.0, 1.0, 1.0)
        light.default_value = colour.default_value  # other readers multiply the picture by it
        surface.inputs["Emission Strength"].default_value = 1.0
        colour.default_value = (0.0, 0.0, 0.0, 1.0)
        _input(surface, "Specular", "Specular IOR Level").default_value = 0.0
        surface.inputs["Roughness"].default_value = 1.0


def _matt(bpy: Any) -> None:
    """Have surfaces scatter all light that their colours leave: what shines in an FBX is up to each reader's taste."""
    for _, surface in _surfaces(bpy):
        colour = surface.inputs["Base Color"]
        if colour.is_linked:
            colour.default_value = (1.0, 1.0, 1.0, 1.0)  # readers multiply the picture by it
        _input(surface, "Specular", "Specular IOR Level").default_value = 0.0
        surface.inputs["Roughness"].default_value = MATT


def _surfaces(bpy: Any) -> list[tuple[Any, Any]]:
    trees = [material.node_tree for material in bpy.data.materials if material.node_tree]
    return [(tree, node) for tree in trees for node in tree.nodes if node.type == "BSDF_PRINCIPLED"]


def _input(surface: Any, name: str, since_4: str) -> Any:
    """An input of a surface under the name that it had before Blender 4.0 or has since."""
    return surface.inputs[name if name in surface.inputs else since_4]


def _no_specular_colour() -> None:
    """Have the exporter write black as the colour of highlights: it would write the base colour whatever is specular.

    three.js takes that colour alone and leaves out the factor beside it.
    """
    from io_scene_fbx import export_fbx_bin

    write = export_fbx_bin.elem_props_template_set

    def without_highlights(template: Any, properties: Any, kind: str, name: bytes, value: Any, **more: Any) -> None:
        black = name in (b"SpecularColor", b"ReflectionColor")
        write(template, properties, kind, name, (0.0, 0.0, 0.0) if black else value, **more)

    export_fbx_bin.elem_props_template_set = without_highlights


def _name_pictures(bpy: Any, stem: str) -> None:
    """Call the pictures NAME_colour.png and NAME_normal.png: the exporter takes those without files for one picture."""
    for picture in [picture for picture in bpy.data.images if picture.packed_file]:
        if picture.file_format != "PNG":
            picture.pixels[0] = picture.pixels[0]  # a changed picture is packed anew, and as PNG
            picture.pack()
        picture.filepath_raw = picture.name = f"{stem}_{picture.name}.png"


def _leave_out_folders() -> None:
    """Have the exporter write file names alone for pictures: it would add the folder of this run, soon gone."""
    from io_scene_fbx import export_fbx_bin

    def absolute_and_relative(picture: Any, _: Any) -> tuple[str, str]:
        return picture.filepath, picture.filepath

    export_fbx_bin._gen_vid_path = absolute_and_relative


def _stand_up(bpy: Any) -> None:
    """Turn what objects hold until its Y axis is up, as in the file: exported as it is, no node needs a turn for that.

    The exporter's own way lays the first node on its back and the first bone up again; clips of other characters, which
    turn bones by name, would then throw the person over.
    """
    from mathutils import Matrix

    upright = Matrix.Rotation(-math.pi / 2, 4, "X")
    for thing in bpy.data.objects:
        own = thing.matrix_world.inverted() @ upright @ thing.matrix_world
        if thing.type == "MESH":
            thing.data.transform(own, shape_keys=True)
        elif thing.type == "ARMATURE":
            thing.data.transform(own)


def _one_timeline(bpy: Any) -> int:
    """Put all clips one after another, bones and morph targets side by side: the exporter plays strips of the bones.

    Gives a frame after them all, where nothing moves.
    """
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
    return start


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :]
    main(given[0], given[1], given[2], float(given[3]), given[4] == "shining")
