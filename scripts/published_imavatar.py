"""What the IMavatar paper (CVPR 2022, arXiv 2112.07471) measured: the rows of `scripts/table_imavatar.py`."""

REAL: dict[str, tuple[float, ...]] = {
    "c_net": (3.615, 0.05824, 22.23, 0.9524, 0.03421),
    "d_net": (3.769, 0.06130, 21.77, 0.9474, 0.03227),
    "b_morph": (2.786, 0.04980, 23.50, 0.9599, 0.02231),
    "fwd_skin": (3.088, 0.05456, 22.92, 0.9586, 0.02781),
    "nerface": (2.994, 0.04564, 23.58, 0.9596, 0.02156),
    "fast-unsupervised": (2.843, 0.04918, 23.68, 0.9615, 0.02155),
    "fast": (2.548, 0.04878, 23.91, 0.9655, 0.02085),
}
"""Real videos: landmark error (pixels at 256), then L1, PSNR, SSIM and LPIPS inside the landmarks' hull."""
SYNTHETIC = {"expression": 2.558, "normal_face": 5.901, "psnr": 28.75, "lpips": 0.01581}
"""Ten synthetic subjects, the method itself; the other rows are not known."""
REMARK = (
    "Published on other videos, with another landmark detector (FAN, against the tracked landmarks), full-size "
    "networks and two days of GPU time. What compares is the order of the rows."
)
