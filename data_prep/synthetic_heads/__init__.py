"""Seeded videos of talking synthetic heads with full truth."""

from data_prep.synthetic_heads.make import TalkingHead, make_talking_head
from data_prep.synthetic_heads.render import HeadPicture

__all__ = ["HeadPicture", "TalkingHead", "make_talking_head"]
