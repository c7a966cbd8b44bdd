"""Rays to the posed implicit surface, and their gradients."""

from avatars.render.gradient import attach_off_surface_gradient, attach_surface_gradient, posed_normals
from avatars.render.march import march
from avatars.render.options import TraceOptions
from avatars.render.proxy import Proxy
from avatars.render.rays import RayHits, SurfaceField
from avatars.render.surface import Meeting, meet_surface
from avatars.render.tracing import trace

__all__ = [
    "Meeting",
    "Proxy",
    "RayHits",
    "SurfaceField",
    "TraceOptions",
    "attach_off_surface_gradient",
    "attach_surface_gradient",
    "march",
    "meet_surface",
    "posed_normals",
    "trace",
]
