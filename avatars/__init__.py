"""Animatable implicit human avatars from body scans: fit, animate, export."""

__version__ = "0.1.0"
