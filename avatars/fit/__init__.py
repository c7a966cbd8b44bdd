"""Fit avatars to scans and video, and measure them."""

from avatars.fit.evaluate import Evaluation, EvaluationRow, evaluate
from avatars.fit.options import FitOptions, load_preset
from avatars.fit.prior import train_prior
from avatars.fit.prior_options import PriorOptions, load_prior_preset
from avatars.fit.scans import fit_scans
from avatars.fit.video import fit_video
from avatars.fit.video_options import VideoFitOptions, load_video_preset

__all__ = [
    "Evaluation",
    "EvaluationRow",
    "FitOptions",
    "PriorOptions",
    "VideoFitOptions",
    "evaluate",
    "fit_scans",
    "fit_video",
    "load_preset",
    "load_prior_preset",
    "load_video_preset",
    "train_prior",
]
