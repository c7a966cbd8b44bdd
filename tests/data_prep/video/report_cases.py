"""A tiny tracked video: the Anny head at 64 pixels, rendered from the very poses that the dataset tells."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from body_models.load import load_body_model
from data_prep.camera import Camera
from data_prep.pictures.mesh import render_mesh
from data_prep.video_dataset import VideoDataset, VideoFrame

COUNT, SIZE = 6, 64
FLAGS = {2: ("hand",), 3: ("hand", "blur")}


def small_dataset(
    folder: Path, model_name: str = "anny-head", depth: float = 0.6, height: float = 0.05
) -> VideoDataset:
    """Six frames of a model that moves to its left; frames 2 and 3 are left out."""
    model = load_body_model(model_name)
    bones, expressions = len(model.skeleton), len(model.expression_basis)
    intrinsics = torch.tensor([[75.0, 0.0, SIZE / 2], [0.0, 75.0, SIZE / 2], [0.0, 0.0, 1.0]])
    camera = Camera(intrinsics, torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])), SIZE, SIZE)
    poses = torch.zeros(COUNT, bones, 3)
    poses[:, 0, 1] = torch.linspace(-0.3, 0.3, COUNT)
    translations = torch.tensor([[0.1 * (i - 2.5) / 5 * depth, -height, -depth] for i in range(COUNT)])
    expression = torch.zeros(COUNT, expressions)
    if "jawOpen" in model.expression_names:
        expression[:, model.expression_names.index("jawOpen")] = torch.linspace(0, 1, COUNT)
    vertices = model.body().pose_vertices(poses, translations, expression if expressions else None)
    frames = tuple(_frame(folder, i, render_mesh(vertices[i], model.faces, camera)) for i in range(COUNT))
    return VideoDataset(
        frames=frames,
        width=SIZE,
        height=SIZE,
        frame_rate=10.0,
        model=model_name,
        betas=torch.zeros(len(model.shape_basis)),
        joint_names=model.skeleton.joint_names,
        expression_names=model.expression_names,
        intrinsics=intrinsics.repeat(COUNT, 1, 1),
        camera_from_world=camera.camera_from_world.repeat(COUNT, 1, 1),
        poses=poses,
        translations=translations,
        expressions=expression,
        landmarks=camera.project(vertices[:, :5])[0],
        landmark_weights=torch.ones(COUNT, 5),
        warnings=("frames 2-3: a hand covers <the> mouth & chin; left out",),
        notes=("crop fixed",),
        folder=folder,
    )


def _frame(folder, index, rendered):
    for kind in ("frames", "masks"):
        (folder / kind).mkdir(exist_ok=True)
    image, mask = f"frames/{index:06d}.png", f"masks/{index:06d}.png"
    Image.fromarray(rendered.to_uint8()).save(folder / image)
    Image.fromarray((rendered.mask.numpy() * 255).astype(np.uint8)).save(folder / mask)
    flags = FLAGS.get(index, ())
    return VideoFrame(source=index, time=index / 10, image=image, mask=mask, flags=flags, use=not flags)
