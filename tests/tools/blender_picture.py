"""Runs inside Blender: a picture of a GLB at a time of its clip, by Cycles on the CPU.

blender --background --factory-startup --python blender_picture.py -- PACKAGES FILE OUT.png WISHES   (JSON)
"""

import json
import math
import os
import sys

sys.path.append(os.path.dirname(__file__))

from blender_start import arguments, bpy
from mathutils import Vector

path, out, wishes = arguments


def main():
    wish = json.loads(wishes)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = 30
    bpy.ops.import_scene.gltf(filepath=path)
    scene.frame_set(round(30 * wish["time"]))
    graph = bpy.context.evaluated_depsgraph_get()
    mesh = next(thing for thing in scene.objects if thing.type == "MESH" and thing.find_armature()).evaluated_get(graph)
    corners = [mesh.matrix_world @ vertex.co for vertex in mesh.data.vertices]
    middle = Vector([(max(axis) + min(axis)) / 2 for axis in zip(*corners, strict=True)])
    middle.z = wish["up"]
    look(scene, middle, wish)
    light(scene, middle, wish)
    scene.render.engine = "CYCLES"
    scene.cycles.samples = wish["samples"]
    scene.cycles.use_denoising = False
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y = wish["size"]
    scene.render.filepath = out
    bpy.ops.render.render(write_still=True)


def away(side, above):
    """Unit vector towards the front (-Y here), turned to a side and up (degrees)."""
    side, above = math.radians(side), math.radians(above)
    return Vector((math.cos(above) * math.sin(side), -math.cos(above) * math.cos(side), math.sin(above)))


def look(scene, middle, wish):
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.sensor_fit, camera.data.angle = "VERTICAL", math.radians(25)
    direction = away(wish["side"], wish["above"])
    camera.location = middle + direction * (wish["height"] / 2 / math.tan(math.radians(12.5)))
    camera.rotation_euler = direction.to_track_quat("Z", "Y").to_euler()


def light(scene, middle, wish):
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.9, 0.93, 1.0, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.8
    lamp = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    lamp.data.energy, lamp.data.angle = 3.5, math.radians(6)
    lamp.rotation_euler = away(wish["side"] + 20, 63).to_track_quat("Z", "Y").to_euler()
    scene.collection.objects.link(lamp)
    bpy.ops.mesh.primitive_plane_add(size=100)
    ground = bpy.context.object
    ground.is_shadow_catcher = True


main()
