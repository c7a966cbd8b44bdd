"""A short synthetic video of a talking head with its true tracks, and a preset that fits a coarse head to it."""

from functools import cache
from pathlib import Path

import torch

from avatars.fit.video_frames import checked_body
from avatars.fit.video_method import TrackedImavatar, VideoMethod
from avatars.fit.video_options import VideoFitOptions, load_video_preset
from avatars.fit.video_rays import load_pictures
from avatars.models.head_prior import HeadPrior
from avatars.models.head_start import imavatar_from_prior
from data_prep.synthetic_heads import make_talking_head
from data_prep.synthetic_heads.truth import write_truth
from data_prep.video_dataset import VideoDataset, read_video_dataset

FRAMES, SIZE = 8, 64
PRESET = """
steps: 6
size: 64
rays: 100
frames_per_step: 2
refresh: 2
proxy_resolution: 24
imavatar:
  weight_spacing: 0.04
  part_weight_spacing: 0.02
  base_spacing: 0.03
  part_base_spacing: 0.015
  feature_spacings: [0.05]
  colour_spacings: [0.05, 0.01]
"""


def write_talking(folder: Path) -> VideoDataset:
    """The dataset in `folder/data` and `folder/tiny.yaml`."""
    dataset = write_truth(make_talking_head(3, FRAMES, SIZE, SIZE), folder / "data")
    (folder / "tiny.yaml").write_text(PRESET)
    return dataset


@cache
def prior_of(folder: Path) -> HeadPrior:
    """Of the person of a dataset."""
    return HeadPrior(checked_body(read_video_dataset(folder)))


def tiny_method(dataset: VideoDataset, preset: Path) -> tuple[VideoMethod, VideoFitOptions]:
    """An untrained coarse head on the frames of a dataset."""
    options, prior = load_video_preset(str(preset)), prior_of(dataset.folder)
    torch.manual_seed(0)
    model = imavatar_from_prior(prior, options.imavatar, dataset.poses)
    module = TrackedImavatar(model, dataset.poses, dataset.translations, dataset.expressions)
    return VideoMethod(module.train(), prior, load_pictures(dataset, options.size), options), options
