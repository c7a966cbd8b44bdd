"""Time a training step of SNARF against the published one; a part of `bench_search.py`."""

import argparse
from collections.abc import Callable

import torch
from jaxtyping import Float
from measuring import median_seconds, table
from published_snarf import PublishedSkinning, fitted_weights, posed_points, published_logits, random_pose
from torch import Tensor
from torch.nn import functional

from avatars.fields.occupancy import MlpOccupancy
from avatars.fields.weights import GridWeights
from avatars.fit import load_preset
from avatars.models import Snarf, snarf_from_body
from body_models import Body, load_anny
from data_prep.surface import Surface


def training_table(arguments: argparse.Namespace) -> list[tuple[str, str, str, bool]]:
    """Search, implicit gradients, occupancy network, loss and backward pass of (a) and (b) at the same points.

    Poses are known and take no gradient; the optimiser's own step is not counted. Prints, and gives the bar.
    """
    body, device = load_anny().body(), arguments.device
    pose = random_pose(body, arguments.seed)
    points = posed_points(body, pose, arguments.baseline_points, arguments.seed)
    labels = Surface(body.pose_vertices(pose, torch.zeros(3)), body.faces).signed_distance(points).lt(0).float()
    points, labels, pose = points.to(device), labels.to(device), pose.to(device)
    runs = {
        "(a) published, 8x256 occupancy MLP": published_step(body, pose, points, labels, arguments),
        "(b) fast preset": our_step(body, pose, points, labels, False, arguments),
        "(b) with (a)'s 8x256 occupancy MLP": our_step(body, pose, points, labels, True, arguments),
    }
    seconds = {name: median_seconds(run, arguments.repeats) for name, run in runs.items()}
    first = next(iter(seconds.values()))
    rows = [
        [name, f"{1000 * taken:.1f}", f"{len(points) / taken:,.0f}", f"{first / taken:.1f}"]
        for name, taken in seconds.items()
    ]
    print(table(["step", "ms", "points/s", "x (a)"], rows))
    ratio = first / seconds["(b) fast preset"]
    return [
        ("training step, fast preset, times (a)", ">= 25", f"{ratio:.1f}", ratio >= 25),
    ]


def published_step(
    body: Body,
    pose: Float[Tensor, "bone 3"],
    points: Float[Tensor, "point 3"],
    labels: Float[Tensor, "point"],
    arguments: argparse.Namespace,
) -> Callable[[], None]:
    """(a): weights and occupancy learn."""
    weights = fitted_weights(body, arguments.seed, arguments.fit_steps).to(points.device).requires_grad_(True)
    occupancy = MlpOccupancy(len(body.skeleton)).to(points.device)
    bones = body.posed_from_canonical(pose[None].cpu(), torch.zeros(1, 3))[0].to(points.device)

    def step() -> None:
        weights.zero_grad()
        occupancy.zero_grad()
        logits = published_logits(PublishedSkinning(weights, bones), occupancy, points, pose)
        functional.binary_cross_entropy_with_logits(logits, labels).backward()

    return step


def our_step(
    body: Body,
    pose: Float[Tensor, "bone 3"],
    points: Float[Tensor, "point 3"],
    labels: Float[Tensor, "point"],
    same_network: bool,
    arguments: argparse.Namespace,
) -> Callable[[], None]:
    """(b): the fast preset's model with (a)'s weights on its grid, with its own occupancy or (a)'s network."""
    model = with_published_weights(snarf_from_body(body, load_preset("fast").snarf), body, arguments)
    if same_network:
        model.occupancy = MlpOccupancy(len(body.skeleton))
    model.to(points.device).train()
    model.joint_shift.requires_grad_(False)
    frame = torch.zeros(len(points), dtype=torch.long, device=points.device)
    translation = pose.new_zeros(1, 3)

    def step() -> None:
        model.zero_grad()
        logits = model(points, frame, pose[None], translation, model.pose_code(pose[None]))
        functional.binary_cross_entropy_with_logits(logits, labels).backward()

    return step


@torch.no_grad()
def with_published_weights(model: Snarf, body: Body, arguments: argparse.Namespace) -> Snarf:
    """The model with its weight grid set to (a)'s weights, so that both steps search the same field."""
    weights = fitted_weights(body, arguments.seed, arguments.fit_steps)
    if isinstance(model.weights, GridWeights):
        model.weights.start_from(torch.cat([weights(some) for some in model.weight_grid.nodes().split(50_000)]))
    return model
