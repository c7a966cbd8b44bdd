"""Avatars in motion on a stage, to videos."""
