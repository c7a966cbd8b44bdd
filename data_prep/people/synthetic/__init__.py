"""Synthetic clothed people of the free body, for training a prior of people."""

from data_prep.people.synthetic.make import Made, PeopleOptions, make_people, synthetic_member
from data_prep.people.synthetic.outfit import Outfit, random_outfit
from data_prep.people.synthetic.person import ClothedPerson, make_clothed_person

__all__ = [
    "ClothedPerson",
    "Made",
    "Outfit",
    "PeopleOptions",
    "make_clothed_person",
    "make_people",
    "random_outfit",
    "synthetic_member",
]
