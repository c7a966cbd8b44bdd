"""Two naked people as a dataset, and a coarse prior that has not been trained: the free body itself."""

import copy
from functools import cache
from pathlib import Path

import torch

from avatars.fit.detail_options import DetailStage
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior_shape import CodedPeople
from avatars.models.gdna import Gdna
from avatars.models.gdna_start import start_prior
from body_models import load_anny
from data_prep.people import MemberOptions, make_member, read_people, write_member, write_people
from data_prep.people.dataset import PeopleDataset
from tests.avatars.small_body import small_poses
from tests.avatars.small_prior import SIZES

MEMBER = MemberOptions(near=200, uniform=100, samples=200, yaws=(0.0, 1.5, 4.0), size=32)
STAGE = DetailStage(steps=10, people=2, points=64, cached_points=128, mesh_cells=64, crop=16, widths=(4, 6, 8))
BETAS = torch.tensor([[0.0, 0.0, 0.0], [1.0, -0.5, 0.5]])


def write_bodies(folder: Path) -> PeopleDataset:
    """A person with one scan, one with two."""
    model = load_anny()
    names = ("anna", "bert")
    for number, name in enumerate(names):
        body, poses = model.body(BETAS[number]), small_poses(1 + number, scale=0.1)
        still = torch.zeros(len(poses), 3)
        meshes = [(body.pose_vertices(pose, torch.zeros(3)), body.faces) for pose in poses]
        pelvis = torch.stack([body.pose_joints(pose, torch.zeros(3))[0] for pose in poses])
        random = torch.Generator().manual_seed(number)
        write_member(folder, make_member(name, meshes, BETAS[number], poses, still, pelvis, MEMBER, random))
    joints = model.skeleton.joint_names
    settings = {"betas_count": 3, "joint_names": joints, "yaws": MEMBER.yaws, "view_size": MEMBER.size}
    write_people(folder, names, body_model="anny", **settings)
    return read_people(folder)


@cache
def _start() -> CodedPeople:
    torch.manual_seed(0)
    return CodedPeople(start_prior(load_anny(), SIZES), people=2, seed=0)


def coarse_people() -> CodedPeople:
    """The prior with codes for both, made anew."""
    first = _start().gdna
    active = (first.occupancy.volumes.active, first.normals.volume.active)
    people = CodedPeople(Gdna(first.options, copy.deepcopy(first.space), active), people=2, seed=0)
    people.load_state_dict(_start().state_dict())
    return people


def pools_of(dataset: PeopleDataset) -> PeoplePools:
    """Both people."""
    return PeoplePools.of(dataset, [0, 1], 3)
