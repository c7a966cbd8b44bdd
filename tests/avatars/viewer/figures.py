"""Figures on a small stage, and the tabs that handle them."""

CELLS = 48


def add(viewer, avatar):
    figure = viewer.add(avatar)
    figure.change(resolution=CELLS)
    assert viewer.wait(30.0)
    return figure


def panel(viewer, kind):
    """One of the tabs of the chosen avatar."""
    return next(panel for panel in viewer._controls._panels if isinstance(panel, kind))
