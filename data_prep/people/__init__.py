"""Datasets of many people, for learning a prior of them."""

from data_prep.people.dataset import PeopleDataset, holds_people, read_people, write_people
from data_prep.people.from_meshes import MemberOptions, make_member, normal_map
from data_prep.people.member import Member, member_file, write_member
from data_prep.people.views import HALF, even_yaws, from_view, to_view, view_rays

__all__ = [
    "HALF",
    "Member",
    "MemberOptions",
    "PeopleDataset",
    "even_yaws",
    "from_view",
    "holds_people",
    "make_member",
    "member_file",
    "normal_map",
    "read_people",
    "to_view",
    "view_rays",
    "write_member",
    "write_people",
]
