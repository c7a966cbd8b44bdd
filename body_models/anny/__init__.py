"""The free body and head: Anny (Apache-2.0 / CC0)."""

from body_models.anny.body import load_anny
from body_models.anny.head import anny_head_parts, load_anny_head
from body_models.anny.phenotypes import anny_betas, anny_parameters, anny_person

__all__ = ["anny_betas", "anny_head_parts", "anny_parameters", "anny_person", "load_anny", "load_anny_head"]
