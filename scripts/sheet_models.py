"""Draw every model that is there: `python scripts/sheet_models.py --out sheets [--motion walk.bvh] [--ict FOLDER]`.

One PNG a model: the mean person from front and side, the canonical pose, landmarks and four random people; for bodies
also six frames of a motion, for heads expressions, neck, jaw and eyes. `models.jpg` shows a row of each. The free
models need no file; licensed ones are drawn when `avatars models add` has kept theirs.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from demo_walk import make_walk
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from body_models import (
    MODEL_NAMES,
    Body,
    BodyModel,
    InputError,
    Motion,
    list_models,
    load_anny,
    load_body_model,
    load_motion,
    retarget,
)
from body_models.ict import SOLID_VERTICES, load_ict
from body_models.motion.rigs import match_joints
from body_models.skeleton import Skeleton
from data_prep.camera import Camera
from data_prep.pictures import frame_camera, render_mesh, tile, write_image

Picture = UInt8[np.ndarray, "height width 3"]
Pictures = dict[str, Picture]
SIZE = (200, 250)
"""Width and height of one picture (pixels)."""
SKIN, EYE_WHITE, IRIS = (0.56, 0.46, 0.4), (0.8, 0.8, 0.8), (0.05, 0.08, 0.12)
IRIS_COSINE = math.cos(math.radians(23))
DOT = (200, 30, 40)
EXPRESSIONS = (
    *("mouthSmileLeft mouthSmileRight", "mouthFrownLeft mouthFrownRight", "mouthPucker", "mouthFunnel", "jawOpen"),
    *("mouthLeft", "cheekPuff cheekPuffLeft cheekPuffRight", "browInnerUp browInnerUpLeft browInnerUpRight"),
    *("browDownLeft browDownRight", "eyeBlinkLeft eyeBlinkRight"),
)
"""Actions shown of models with named ones, those in one string together."""
TURNS = {
    "neck left": {"neck": (0.0, 0.5, 0.0)},
    "neck down": {"neck": (0.4, 0.0, 0.0)},
    "jaw open": {"jaw": (0.35, 0.0, 0.0)},
    "eyes left": {"left_eye": (0.0, 0.4, 0.0), "right_eye": (0.0, 0.4, 0.0)},
    "eyes down": {"left_eye": (0.35, 0.0, 0.0), "right_eye": (0.35, 0.0, 0.0)},
}
"""Axis-angle of the joints that each picture of a head turns (radians)."""
SHOWN_OF_BODY = ("front", "side", "canonical", "landmarks", "person 1", "person 4", "frame 1", "frame 3")
LAST_OF_BODY = ("mouth open", "fist", "frame 5")
"""Of these the first that there is ends a body's row."""
SHOWN_OF_HEAD = (
    "front",
    "side",
    "canonical",
    "landmarks",
    "person 1",
    *("mouthSmile", "eyeBlink", "jaw open", "neck left"),
)


def main() -> None:
    """Draw the sheets and tell where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("sheets"), help="folder for the pictures")
    parser.add_argument("--motion", type=Path, help="a walk, as BVH, AMASS npz or GLB; by default one made of sines")
    parser.add_argument("--ict", type=Path, help="ICT-FaceKit's FaceXModel folder, or a folder with ict_facekit.npz")
    arguments = parser.parse_args()
    walk = make_walk(load_anny().body(), 1.5) if arguments.motion is None else load_motion(arguments.motion)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[Picture] = []
    for name, model in models(arguments.ict):
        started = time.perf_counter()
        pictures = model_pictures(model, walk)
        path = write_image(
            tile(list(pictures.values()), columns=7, labels=list(pictures)), arguments.out / f"{name}.png"
        )
        rows.append(row_of(name, model, pictures))
        print(f"{path}: {len(pictures)} pictures in {time.perf_counter() - started:.1f} s")
    whole = arguments.out / "models.jpg"
    Image.fromarray(np.concatenate(rows)).save(whole, quality=85)
    print(whole)


def models(ict: Path | None) -> Iterator[tuple[str, BodyModel]]:
    """The free models, then each licensed one that is kept, in every gender that is there."""
    kept = [(entry.family, entry.gender) for entry in list_models() if entry.path is not None]
    for name in MODEL_NAMES:
        genders = [gender for family, gender in kept if family == name]
        if name == "ict" and ict is not None:
            yield name, load_ict(ict)
        elif genders:
            yield from ((f"{name}_{gender}", load_body_model(name, gender)) for gender in genders)
        elif name.startswith("anny"):
            yield name, load_body_model(name)


def model_pictures(model: BodyModel, walk: Motion) -> Pictures:
    """All pictures of a model, each under its label."""
    body = opaque(model.body(), model.name)
    camera, colors = camera_around(body.vertices), vertex_colors(body)

    def draw(vertices: Float[Tensor, "vertex 3"], view: Camera | None = None) -> Picture:
        return render_mesh(vertices, body.faces, view or camera_around(vertices), colors, supersampling=2).to_uint8()

    pictures = {
        "front": draw(body.vertices, camera),
        "side": draw(body.vertices, camera_around(body.vertices, math.pi / 2)),
        "canonical": draw(body.canonical()),
    }
    if model.landmarks is not None:
        pictures["landmarks"] = with_dots(pictures["front"], model.landmarks.on(body.vertices), camera, body)
    for number, betas in enumerate(random_betas(model), start=1):
        pictures[f"person {number}"] = draw(model.body(betas).vertices)
    if is_head(model.skeleton):
        return pictures | {label: draw(vertices, camera) for label, vertices in head_poses(model)}
    pictures |= {label: draw(*frame) for label, frame in walk_frames(body, walk)}
    return pictures | {label: draw(*detail) for label, detail in details(body)}


def is_head(skeleton: Skeleton) -> bool:
    """Whether a model is a head alone."""
    return "jaw" in skeleton.joint_names and len(skeleton) < 10


def random_betas(model: BodyModel) -> Float[Tensor, "person shape"]:
    """Four people, the same ones each time."""
    return torch.randn(4, len(model.shape_basis), generator=torch.Generator().manual_seed(4))


def head_poses(model: BodyModel) -> Iterator[tuple[str, Float[Tensor, "vertex 3"]]]:
    """Expressions, one or a pair at a time, and the joints turned."""
    body, still = model.body(), torch.zeros(3)
    rest = torch.zeros(len(model.skeleton), 3)
    for label, values in expressions(model):
        yield label, body.pose_vertices(rest, still, values)
    for label, joints in TURNS.items():
        pose = rest.clone()
        for joint, turn in joints.items():
            pose[model.skeleton.index(joint)] = torch.tensor(turn)
        yield label, body.pose_vertices(pose, still)


def expressions(model: BodyModel) -> Iterator[tuple[str, Float[Tensor, "expression"]]]:
    """Ten expressions: named actions at their full strength, or two standard deviations of the first components."""
    basis = torch.eye(len(model.expression_basis))
    if not model.expression_names:
        for number in range(5):
            yield f"component {number + 1} +", 2 * basis[number]
            yield f"component {number + 1} -", -2 * basis[number]
        return
    for names in EXPRESSIONS:
        rows = [model.expression_names.index(name) for name in names.split() if name in model.expression_names]
        if rows:
            yield names.split()[0].removesuffix("Left"), basis[rows].sum(0)


def walk_frames(body: Body, walk: Motion) -> Iterator[tuple[str, tuple[Float[Tensor, "vertex 3"], Camera]]]:
    """Six frames of a motion on a body, which stays in the middle of the picture."""
    moved = retarget(walk, body)
    middle, half = (len(moved) - 1) / 2, min(moved.duration, 1.15) * moved.frame_rate / 2
    frames = [round(middle + half * (step / 3 - 1)) for step in range(6)]
    places = moved.translations[frames] * torch.tensor([0.0, 1.0, 0.0])
    surfaces = body.pose_vertices(moved.rotations[frames], places)
    ahead = moved.posed_from_rest()[frames[0], 0, :3, 2]
    camera = camera_around(surfaces.flatten(0, 1), math.atan2(float(ahead[0]), float(ahead[2])) + 0.9)
    for number, surface in enumerate(surfaces, start=1):
        yield f"frame {number}", (surface, camera)


def details(body: Body) -> Iterator[tuple[str, tuple[Float[Tensor, "vertex 3"], Camera]]]:
    """What a rig has beyond the limbs, from near: fingers curled, the jaw open."""
    found, pose = match_joints(body.skeleton.joint_names), torch.zeros(len(body.skeleton), 3)
    if "left_index1" in found:
        across = body.joints[found["left_pinky1"]] - body.joints[found["left_index1"]]
        fingers = [i for name, i in found.items() if name[:5] == "left_" and name[-1] in "123" and "thumb" not in name]
        fist = pose.clone()
        fist[fingers] = torch.nn.functional.normalize(across, dim=0)
        yield "fist", near_view(body, fist, [*fingers, found["left_wrist"]], 0.8)
    if "jaw" in body.skeleton.joint_names:
        jaw = body.skeleton.index("jaw")
        pose[jaw, 0] = 0.3
        face = torch.tensor([joint for joint, y in enumerate(body.joints[:, 1]) if y > body.joints[jaw, 1]])
        yield "mouth open", near_view(body, pose, [jaw, *face.tolist()], 0.4)


def near_view(
    body: Body, pose: Float[Tensor, "bone 3"], joints: list[int], azimuth: float
) -> tuple[Float[Tensor, "vertex 3"], Camera]:
    """The posed surface, and a view of the part of it that turns with some joints."""
    surface = body.pose_vertices(pose, torch.zeros(3))
    part = body.skinning_weights[:, joints].sum(1) > 0.5
    return surface, camera_around(surface[part], azimuth)


def opaque(body: Body, name: str) -> Body:
    """The body without the transparent layers that ICT-FaceKit has before the eyes."""
    if name != "ict":
        return body
    return replace(body, faces=body.faces[(body.faces < SOLID_VERTICES).all(1)])


def camera_around(vertices: Float[Tensor, "vertex 3"], azimuth: float = 0.0) -> Camera:
    """A view that holds the whole surface (radians from the front)."""
    return frame_camera(vertices.amin(0), vertices.amax(0), azimuth, 0.0, *SIZE)


def vertex_colors(body: Body) -> Float[Tensor, "vertex 3"]:
    """Linear colours: skin, and eyeballs with an iris where eyes have joints, so that one sees where they look."""
    colors = torch.tensor(SKIN).repeat(len(body.vertices), 1)
    for joint, name in enumerate(body.skeleton.joint_names):
        if name in ("left_eye", "right_eye", "eye.L", "eye.R"):
            ball = (body.skinning_weights[:, joint] > 0.9).nonzero()[:, 0]
            outward = torch.nn.functional.normalize(body.vertices[ball] - body.joints[joint], dim=-1)
            iris = (outward[:, 2] > IRIS_COSINE)[:, None]
            colors[ball] = torch.where(iris, torch.tensor(IRIS), torch.tensor(EYE_WHITE))
    return colors


def with_dots(picture: Picture, points: Float[Tensor, "landmark 3"], camera: Camera, body: Body) -> Picture:
    """The picture with landmarks as dots, rings where they are behind the surface."""
    depth = render_mesh(body.vertices, body.faces, camera).depth
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for (x, y), far in zip(*(part.tolist() for part in camera.project(points)), strict=True):
        row, column = min(max(int(y), 0), camera.height - 1), min(max(int(x), 0), camera.width - 1)
        seen = far < float(depth[row, column]) + 0.02
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=DOT if seen else None, outline=DOT)
    return np.asarray(image)


def row_of(name: str, model: BodyModel, pictures: Pictures) -> Picture:
    """The pictures of a model that stand for it on the sheet of all, its name under the first."""
    last = [label for label in LAST_OF_BODY if label in pictures][:1]
    wanted = SHOWN_OF_HEAD if is_head(model.skeleton) else (*SHOWN_OF_BODY, *last)
    labels = [label if label in pictures else "front" for label in wanted]
    return tile([pictures[label] for label in labels], columns=len(wanted), labels=[name, *labels[1:]])


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"Error: {error}")
