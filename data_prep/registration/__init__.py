"""Fit a body model's shape and poses to raw scans."""

from data_prep.registration.register import Registration, register, register_known_poses, register_to_body

__all__ = ["Registration", "register", "register_known_poses", "register_to_body"]
