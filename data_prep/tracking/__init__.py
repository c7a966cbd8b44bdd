"""Tracking a head model through a video from landmarks and outlines."""

from data_prep.tracking.observations import HeadTrack, Observations, TrackingOptions
from data_prep.tracking.track import track_head

__all__ = ["HeadTrack", "Observations", "TrackingOptions", "track_head"]
