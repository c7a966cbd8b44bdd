"""Warp kernels of forward search; importing its modules starts Warp."""
