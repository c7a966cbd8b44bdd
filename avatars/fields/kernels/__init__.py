"""Warp kernels of fields on grids; importing its modules starts Warp."""
