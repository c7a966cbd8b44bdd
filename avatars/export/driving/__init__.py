"""Motions of anybody, brought onto an avatar: bodies by retargeting, heads relative to how they are at rest."""
