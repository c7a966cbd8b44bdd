"""Evaluate a glTF file into plain posed triangle meshes: node tree, skins, morph targets and animation clips."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pygltflib
from jaxtyping import Float, Int

from body_models.errors import InputError
from body_models.gltf import Document, NodePose, Track, clip_span, clip_tracks, sample_track, world_transforms

TRIANGLES, TRIANGLE_STRIP, TRIANGLE_FAN = 4, 5, 6


@dataclass(frozen=True)
class Piece:
    """The vertices and faces of a posed mesh that one primitive gave."""

    primitive: pygltflib.Primitive
    vertices: slice
    faces: slice


@dataclass(frozen=True)
class PosedMesh:
    """All triangles of a glTF scene at one moment, in the file's own world frame."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    pieces: tuple[Piece, ...] = ()


def read_posed_meshes(path: Path, frames: int = 10) -> list[PosedMesh]:
    """Evaluate a glTF or GLB file: `frames` meshes evenly over its clips, or one when nothing deforms.

    Several clips count as one long clip. The end is left out: of a walking cycle it would repeat the start.
    Raises InputError for compressed files, remote buffers and node cycles (glTF 2.0 specification, 3.7 and 3.11).
    """
    return posed_meshes(Document(path), frames)


def posed_meshes(document: Document, frames: int) -> list[PosedMesh]:
    """As `read_posed_meshes`, of a file that has been parsed."""
    clips = [clip_tracks(document, animation) for animation in document.gltf.animations]
    clips = [tracks for tracks in clips if tracks]
    if not clips or not _is_deforming(document, clips):
        return [_evaluate(document, {})]
    return [_evaluate(document, pose) for pose in _sample_clips(clips, frames)]


def _is_deforming(document: Document, clips: list[list[Track]]) -> bool:
    """Whether the clips bend the surface; a turntable that only turns a rigid scan yields nothing new."""
    skinned = any(document.gltf.nodes[index].skin is not None for index in document.visible)
    return skinned or any(track.path == "weights" for tracks in clips for track in tracks)


def _sample_clips(clips: list[list[Track]], frames: int) -> list[dict[int, NodePose]]:
    spans = [clip_span(tracks) for tracks in clips]
    ends = np.cumsum([end - start for start, end in spans])
    poses = []
    for moment in np.linspace(0.0, ends[-1], frames if ends[-1] > 0 else 1, endpoint=False):
        clip = min(int(np.searchsorted(ends, moment, side="right")), len(clips) - 1)
        time = spans[clip][1] - (ends[clip] - moment)
        pose: dict[int, NodePose] = {}
        for track in clips[clip]:
            pose.setdefault(track.node, {})[track.path] = sample_track(track, time)
        poses.append(pose)
    return poses


def _evaluate(document: Document, pose: dict[int, NodePose]) -> PosedMesh:
    world = world_transforms(document, pose)
    vertices, faces, count, face_count = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0, 0
    pieces = []
    for index in sorted(document.visible):
        node = document.gltf.nodes[index]
        if node.mesh is None:
            continue
        mesh = document.gltf.meshes[node.mesh]
        morphs = pose.get(index, {}).get("weights", np.asarray(mesh.weights or [], np.float64))
        for primitive in mesh.primitives:
            triangles = _triangles(document, primitive)
            if len(triangles) == 0:
                continue
            points = _morphed(document, primitive, morphs)
            world_from_mesh = world[index] if node.skin is None else _blended(document, primitive, node.skin, world)
            flips = node.skin is None and np.linalg.det(world[index][:3, :3]) < 0
            faces.append((triangles[:, ::-1] if flips else triangles) + count)
            vertices.append(_apply(world_from_mesh, points))
            own = slice(count, count + len(points)), slice(face_count, face_count + len(triangles))
            pieces.append(Piece(primitive, *own))
            count, face_count = own[0].stop, own[1].stop
    return PosedMesh(np.concatenate(vertices), np.concatenate(faces), tuple(pieces))


def _apply(
    transform: Float[np.ndarray, "*vertex 4 4"], points: Float[np.ndarray, "vertex 3"]
) -> Float[np.ndarray, "vertex 3"]:
    return np.einsum("...ij,...j->...i", transform[..., :3, :3], points) + transform[..., :3, 3]


def _morphed(
    document: Document, primitive: pygltflib.Primitive, weights: Float[np.ndarray, " target"]
) -> Float[np.ndarray, "vertex 3"]:
    points = document.accessor(primitive.attributes.POSITION).astype(np.float64)
    for target, weight in zip(primitive.targets or [], weights, strict=False):
        position = target.get("POSITION") if isinstance(target, dict) else target.POSITION
        if weight and position is not None:
            points = points + weight * document.accessor(position)
    return points


def _blended(
    document: Document, primitive: pygltflib.Primitive, skin_index: int, world: Float[np.ndarray, "node 4 4"]
) -> Float[np.ndarray, "vertex 4 4"]:
    """Skinning transform of each vertex; the node that carries a skinned mesh does not move it (glTF 2.0, 3.7.3.3)."""
    skin = document.gltf.skins[skin_index]
    matrices = world[np.asarray(skin.joints)]
    if skin.inverseBindMatrices is not None:
        binds = document.accessor(skin.inverseBindMatrices)[: len(matrices)]
        matrices = matrices @ binds.reshape(-1, 4, 4).transpose(0, 2, 1)
    attributes = vars(primitive.attributes)
    total: np.ndarray | float = 0.0
    blended: np.ndarray | float = 0.0
    for number in range(len(attributes)):
        joints, weights = attributes.get(f"JOINTS_{number}"), attributes.get(f"WEIGHTS_{number}")
        if joints is None or weights is None:
            break
        share = document.accessor(weights).astype(np.float64)
        blended = blended + np.einsum("vk,vkij->vij", share, matrices[document.accessor(joints).astype(np.int64)])
        total = total + share.sum(1)
    if isinstance(total, float):
        raise InputError("a skinned mesh without joint weights; export the model again with its skin")
    return blended / np.maximum(total, 1e-12)[:, None, None]


def _triangles(document: Document, primitive: pygltflib.Primitive) -> Int[np.ndarray, "face 3"]:
    if primitive.indices is None:
        corners = np.arange(document.gltf.accessors[primitive.attributes.POSITION].count)
    else:
        corners = document.accessor(primitive.indices)[:, 0]
    mode = TRIANGLES if primitive.mode is None else primitive.mode
    if mode == TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == TRIANGLE_STRIP and len(corners) > 2:
        strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
        strip[1::2] = strip[1::2, ::-1]
        return strip
    if mode == TRIANGLE_FAN and len(corners) > 2:
        return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], axis=1)
    return np.zeros((0, 3), np.int64)
