"""Place MediaPipe's face mesh on a head model and write the file that ships with it.

    python scripts/embed_face_mesh.py --model anny-head --out data_prep/video/embeddings/anny-head.safetensors

With `--picture sheet.png` the points are drawn on the head, to be looked at. Prints how far detections on pictures of
other people lie from the points, as a share of the distance between the outer corners of the eyes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float, UInt8
from torch import Tensor

from body_models.ict import load_ict
from body_models.landmarks import Landmarks
from body_models.load import load_body_model
from body_models.model import BodyModel
from data_prep.pictures import render_surface, write_image
from data_prep.surface import Surface
from data_prep.video.embed import EmbeddingOptions, embed_face_mesh, mediapipe_finder, opaque, view_camera
from data_prep.video.face_mesh import write_face_mesh
from data_prep.video.face_paint import HeadSurface, head_surface, paint
from data_prep.video.face_points import BROWS, FACE_OVAL, IRISES, LANDMARKS_68, LEFT_EYE, LIPS, NOSE, RIGHT_EYE

GROUPS = {
    "oval": FACE_OVAL,
    "lips": LIPS,
    "eyes": RIGHT_EYE + LEFT_EYE,
    "brows": BROWS,
    "nose": NOSE,
    "irises": IRISES,
    "68 points": LANDMARKS_68,
    "all": tuple(range(478)),
}
VIEWS = ((0.0, 0.0), (25.0, 5.0), (-25.0, -10.0))
"""Yaw and pitch (degrees)."""
EXPRESSIONS: tuple[dict[str, float], ...] = ({}, {"jawOpen": 0.5}, {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6})
JAW_OPEN = 0.2
SIZE = 512


@dataclass(frozen=True)
class Options:
    """What to embed, and where to."""

    out: Path
    model: str = "anny-head"
    """anny-head, flame or ict."""
    folder: Path | None = None
    """Where the model's files are, when it is not kept by `avatars models add`; of ICT its FaceXModel folder."""
    picture: Path | None = None
    people: int = 5
    """New random people for the quality figures."""


def main(options: Options) -> None:
    """Embed, write, measure and draw."""
    if options.model == "ict" and options.folder is not None:
        model = load_ict(options.folder)
    else:
        model = load_body_model(options.model, folder=options.folder)
    points = embed_face_mesh(model, EmbeddingOptions())
    write_face_mesh(points, model, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.1f} kB")
    head = head_surface(opaque(model))
    for name, share in quality(head, points, options.people).items():
        print(f"{name:10s} {100 * share:5.2f} %")
    if options.picture is not None:
        write_image(sheet(head, points), options.picture)


def quality(head: HeadSurface, points: Landmarks, people: int) -> dict[str, float]:
    """Mean distance between projected points and detections on new people, of the outer eye corners' distance."""
    find, colors, model = mediapipe_finder(), paint(head, points), head.model
    generator = torch.Generator().manual_seed(77)
    errors = []
    for _ in range(people):
        body = model.body(0.7 * torch.randn(len(model.shape_basis), generator=generator))
        for actions in EXPRESSIONS:
            vertices = body.pose_vertices(*_posed(model, actions))
            for yaw, pitch in VIEWS:
                camera = view_camera(model, yaw, pitch, SIZE)
                found = find(_picture(head, vertices, colors, yaw, pitch))
                if found is not None:
                    projected, depth = camera.project(points.on(vertices))
                    at = points.on(vertices)[[33, 263]]
                    unit = (at[0] - at[1]).norm() * camera.intrinsics[0, 0] / depth.mean()
                    errors.append((projected - torch.from_numpy(found).float()).norm(dim=1) / unit)
    print(f"faces found in {len(errors)} of {people * len(EXPRESSIONS) * len(VIEWS)} pictures")
    mean = torch.stack(errors).mean(0)
    return {name: float(mean[list(group)].mean()) for name, group in GROUPS.items()}


def sheet(head: HeadSurface, points: Landmarks) -> UInt8[np.ndarray, "height width 3"]:
    """The points on the mean person: front, three quarters, mouth open, nearly from the side, eyes half shut."""
    model, colors = head.model, paint(head, points)
    blink = {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.6}
    pictures = []
    for yaw, actions in ((0.0, {}), (35.0, {}), (0.0, {"jawOpen": 0.6}), (70.0, {}), (0.0, blink)):
        vertices = model.body().pose_vertices(*_posed(model, actions))
        picture = _picture(head, vertices, colors, yaw, 0.0, 900).copy()
        pixels, _ = view_camera(model, yaw, 0.0, 900).project(points.on(vertices))
        for point, (x, y) in enumerate(pixels.round().long().tolist()):
            marked = point in LANDMARKS_68
            picture[y - 1 : y + 1, x - 1 : x + 1] = (255, 255, 0) if marked else (0, 255, 0)
        pictures.append(picture[130:770, 190:710])
    return np.concatenate(pictures, axis=1)


def _posed(model: BodyModel, actions: dict[str, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Pose, translation and expression; the jaw joint opens the mouth, so that heads without names open it too."""
    pose, expression = torch.zeros(len(model.skeleton), 3), torch.zeros(len(model.expression_basis))
    for name, value in actions.items():
        if name == "jawOpen":
            pose[model.skeleton.index("jaw"), 0] = value * 2 * JAW_OPEN
        elif name in model.expression_names:
            expression[model.expression_names.index(name)] = value
    return pose, torch.zeros(3), expression


def _picture(
    head: HeadSurface,
    vertices: Float[Tensor, "vertex 3"],
    colors: Float[Tensor, "fine 3"],
    yaw: float,
    pitch: float,
    size: int = SIZE,
) -> UInt8[np.ndarray, "height width 3"]:
    surface = Surface(head.fine.vertices(vertices), head.fine.faces)
    return render_surface(surface, view_camera(head.model, yaw, pitch, size), colors).to_uint8()


if __name__ == "__main__":
    main(tyro.cli(Options))
