"""Find the person of a prior, a pose and a place for each scan, that agrees best with scans of one person."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fit.loop import LoopOptions, optimise
from avatars.fit.prior_fit_method import CodedPerson, CodeMethod, WrinkleMethod
from avatars.fit.prior_fit_options import PriorFitOptions
from avatars.fit.prior_fit_points import Evidence, SeenScan, gather
from avatars.fit.prior_fit_tuning import Posed
from avatars.fit.progress import Progress
from avatars.models.person import Person
from avatars.models.prior import Prior
from body_models import Body, BodyModel, InputError, load_body_model

CLOTHES_SIGMA = 0.015
"""How far clothes stand off the body (metres), by which the betas of a dressed body are found."""
INDEPENDENT = 50
"""The displacements of a dressed body's vertices say as much as so many that are independent."""
JOINTS_APART = 0.01
"""Joints of another version of the body model lie farther from a prior's than this (metres)."""


@dataclass(frozen=True)
class PriorFit:
    """The person of a prior that agrees best with scans, and how the person stood in them."""

    person: Person
    posed: Posed
    evidence: Evidence
    """What the scans say, for tuning the avatar to them."""


def fit_to_prior(
    prior: Prior,
    seen: list[SeenScan],
    body: Body,
    posed: Posed,
    work: Path,
    progress: Progress,
    options: PriorFitOptions,
    seed: int = 0,
    resume: bool = False,
) -> PriorFit:
    """Find codes, build and poses for scans to which a body was registered; checkpoints and curves go into `work`."""
    device = prior.device
    evidence = gather(seen, seed, options.pool, options.samples).to(device)
    betas = betas_of(body, body_model_of(prior), prior.model.space.betas)
    module = CodedPerson(prior, betas.to(device), posed.poses.to(device), posed.translations.to(device))
    for known in (module.poses, module.translations):
        known.requires_grad_(not posed.exact)
    method = CodeMethod(prior, module, evidence, options)
    method.begin(seed)
    loop = LoopOptions(options.steps, seed, device.type, options.final)
    optimise(method, loop, work / "person", resume, progress, title="finding the person")
    wrinkles = WrinkleMethod(prior, module, evidence, options)
    loop = LoopOptions(options.detail_steps, seed, device.type, options.final)
    optimise(wrinkles, loop, work / "wrinkles", resume, progress, title="finding wrinkles")
    found = Posed(module.poses.detach(), module.translations.detach(), posed.exact)
    return PriorFit(module.person(prior), found, evidence)


def betas_of(body: Body, model: BodyModel, count: int) -> Float[Tensor, "betas"]:
    """The likeliest build under a registered body's clothes, by least squares."""
    gaps = (body.vertices - model.template).flatten()
    basis = model.shape_basis.flatten(1)
    weight = INDEPENDENT / (CLOTHES_SIGMA**2 * len(body.vertices))
    matrix = weight * (basis @ basis.T) + torch.eye(len(basis))
    return torch.linalg.solve(matrix, weight * (basis @ gaps))[:count]


def body_model_of(prior: Prior) -> BodyModel:
    """The body model that a prior was trained with; raises InputError when it is not at hand or another version."""
    model = load_body_model(prior.card.body_model)
    space = prior.model.space
    same = model.skeleton == space.skeleton and len(model.shape_basis) >= space.betas
    if same:
        away = (model.shape_basis_joints[: space.betas] - space.joint_basis.cpu()).norm(dim=-1).amax()
        same = max(away, (model.template_joints - space.joints.cpu()).norm(dim=-1).amax()) < JOINTS_APART
    if not same:
        raise InputError(
            f"The prior was trained with another body model than the {model.name} here: it has "
            f"{len(space.skeleton)} joints and {space.betas} numbers of body shape, this one {len(model.skeleton)} and "
            f"{len(model.shape_basis)}, or they differ. Leave --prior FILE away to use the prior that comes along, or "
            "train it again with `avatars train-prior`."
        )
    return model
