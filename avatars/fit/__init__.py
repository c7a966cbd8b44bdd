"""Fit avatars to scans, and measure them."""

from avatars.fit.evaluate import Evaluation, EvaluationRow, evaluate
from avatars.fit.options import FitOptions, load_preset
from avatars.fit.scans import fit_scans

__all__ = ["Evaluation", "EvaluationRow", "FitOptions", "evaluate", "fit_scans", "load_preset"]
