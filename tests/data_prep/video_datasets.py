"""Small tracked videos for tests."""

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from body_models.names import HEAD_SKELETON
from data_prep.video_dataset import VideoDataset, VideoFrame

WIDTH, HEIGHT = 24, 20


def small_dataset(folder: Path, count: int = 3, model: str = "flame", landmarks: int = 478) -> VideoDataset:
    """A dataset whose pictures are in the folder already, tracked at random."""
    generator = torch.Generator().manual_seed(7)
    pixels = np.random.default_rng(7)
    frames = []
    for number in range(count):
        image, mask = f"frames/{number:06d}.png", f"masks/{number:06d}.png"
        for name, channels in ((image, (3,)), (mask, ())):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            values = pixels.integers(0, 256, (HEIGHT, WIDTH, *channels), dtype=np.uint8)
            Image.fromarray(values).save(folder / name)
        flags = ("blur",) if number == 1 else ()
        frames.append(VideoFrame(2 * number, number / 12.5, image, mask, flags))
    points = torch.rand(count, landmarks, 2, generator=generator) * 20
    translations = 0.05 * torch.randn(count, 3, generator=generator) - torch.tensor([0.0, 0.0, 0.6])
    return VideoDataset(
        frames=tuple(frames),
        width=WIDTH,
        height=HEIGHT,
        frame_rate=12.5,
        model=model,
        betas=torch.randn(10, generator=generator),
        joint_names=HEAD_SKELETON.joint_names,
        expression_names=(),
        intrinsics=torch.tensor([[30.0, 0.0, 11.0], [0.0, 31.0, 10.5], [0.0, 0.0, 1.0]]).repeat(count, 1, 1),
        camera_from_world=torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).repeat(count, 1, 1),
        poses=0.2 * torch.randn(count, 5, 3, generator=generator),
        translations=translations,
        expressions=torch.randn(count, 50, generator=generator),
        landmarks=points,
        landmark_weights=torch.rand(count, landmarks, generator=generator),
        warnings=("frame 2: blurred",),
        notes=("größer",),
        folder=folder,
    )


def turned_cameras(count: int) -> torch.Tensor:
    """Cameras that look at the origin from 0.6 metres, a little from the side and from below."""
    cameras = torch.eye(4).repeat(count, 1, 1)
    for number in range(count):
        angle = 0.3 * (number + 1)
        c, s = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
        cameras[number, :3, :3] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ turn
        cameras[number, :3, 3] = torch.tensor([0.01, -0.02, 0.6])
    return cameras


def assert_same_tracks(found: VideoDataset, expected: VideoDataset) -> None:
    """Pictures, cameras' images of posed points, poses and expressions agree."""
    assert len(found) == len(expected)
    assert (found.width, found.height) == (expected.width, expected.height)
    assert found.joint_names == expected.joint_names
    torch.testing.assert_close(found.poses, expected.poses)
    width = expected.expressions.shape[1]
    torch.testing.assert_close(found.expressions[:, :width], expected.expressions)
    torch.testing.assert_close(found.betas[: len(expected.betas)], expected.betas)
    for index in range(len(found)):
        np.testing.assert_array_equal(found.image(index), expected.image(index))
        np.testing.assert_array_equal(found.alpha(index), expected.alpha(index))
        points = 0.1 * torch.randn(20, 3, generator=torch.Generator().manual_seed(index))
        here, depth = found.camera(index).project(points + found.translations[index])
        there, expected_depth = expected.camera(index).project(points + expected.translations[index])
        torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(depth, expected_depth)
