"""How a rig looks: an atlas of charts, and colour and normal textures baked from the full-resolution surface."""

from avatars.export.look.look import Look, textured

__all__ = ["Look", "textured"]
