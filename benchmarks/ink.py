"""How much of drawn pen strokes is found as ink, and how much tissue is lost to it.

Strokes 0.8 mm wide are drawn at 8 um per pixel, as a density that is added to what lies below: bare
glass, tissue of many stains, paler and darker, with the texture of nuclei. Their colours are those
that the stroke has on glass.

    .venv/bin/python benchmarks/ink.py
"""

from __future__ import annotations

import time

import cv2
import numpy as np

from pathassets.core.tissue.quality_control import find_ink
from pathassets.core.tissue.stain import StainMethod
from pathassets.core.tissue.tissue_mask import TissueSpec, find_tissue

MPP = 8.0
SIDE_PX = 400
GLASS = np.array([243.0, 242.0, 244.0])
METHODS: tuple[StainMethod, ...] = ("otsu", "hsv", "lab", "luminance")
INKS = {
    "blue": (40, 60, 170), "pale blue": (120, 150, 215), "navy": (25, 30, 90),
    "thin navy": (70, 80, 140), "violet-blue": (60, 50, 160), "pale violet-blue": (130, 120, 200),
    "green": (20, 110, 70), "pale green": (120, 190, 150), "turquoise": (20, 140, 160),
    "black": (25, 25, 28), "grey-black": (75, 75, 80), "grey": (140, 140, 143),
    "red": (200, 40, 50),
}  # fmt: skip
STAINS = {
    "haematoxylin alone": (0.650, 0.704, 0.286),
    "haematoxylin of other makers": (0.490, 0.769, 0.410),
    "blued haematoxylin": (0.70, 0.62, 0.28),
    "haematoxylin and eosin": (0.36, 0.85, 0.20),
    "nuclei close together": (0.55, 0.76, 0.26),
    "eosin": (0.072, 0.990, 0.105),
    "DAB, haematoxylin": (0.46, 0.64, 0.53),
    "DAB, blued haematoxylin": (0.48, 0.60, 0.53),
    "fast red, haematoxylin": (0.35, 0.81, 0.42),
    "AEC": (0.274, 0.680, 0.680),
    "PAS": (0.175, 0.972, 0.154),
    "blood": (0.12, 0.80, 0.60),
}
AMOUNTS = (0.15, 0.3, 0.6, 0.9, 1.2)


def texture(seed: int) -> np.ndarray:
    """How much stain there is around 1, (y, x, 1): detail of 4 to 30 um."""
    rng = np.random.Generator(np.random.PCG64(seed))
    amount = np.ones((SIDE_PX, SIDE_PX))
    for size_px in (0.5, 1.5, 4.0):
        detail = cv2.GaussianBlur(rng.uniform(-1, 1, amount.shape), (0, 0), size_px)
        amount += 0.12 * detail / detail.std()
    return amount.clip(0.2, 2)[..., None]


def seen(od: np.ndarray) -> np.ndarray:
    """RGB uint8 through some density, with noise."""
    rng = np.random.Generator(np.random.PCG64(1))
    rgb = GLASS * 10.0**-od
    return (rgb + rng.integers(-4, 5, rgb.shape)).clip(0, 255).round().astype(np.uint8)


def stroke() -> tuple[np.ndarray, np.ndarray]:
    """Which pixels a stroke covers, and how much ink lies on each: it streaks, its rim is soft."""
    canvas = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    points = np.array([[40, 330], [150, 90], [250, 300], [360, 60]], np.int32)
    cv2.polylines(canvas, [points], isClosed=False, color=1, thickness=100 * 8 // int(MPP))
    streaks = cv2.GaussianBlur(texture(7)[..., 0] - 1, (0, 0), 3.0) * 0.5 + 1
    return canvas > 0, (cv2.GaussianBlur(canvas.astype(float), (0, 0), 0.8) * streaks)[..., None]


def ink_od(colour: tuple[int, int, int]) -> np.ndarray:
    """Density of an ink of which the colour on glass is known."""
    return np.asarray(-np.log10(np.array(colour) / GLASS))


def main() -> None:
    """Print both rates."""
    is_inked, amount = stroke()
    grounds = {
        "on glass": 0.0 * texture(1) * np.ones(3),
        "over pale H&E": 0.25 * texture(1) * STAINS["haematoxylin and eosin"],
        "over dense H&E": 0.7 * texture(1) * STAINS["nuclei close together"],
    }
    print("percent of a stroke that is found; of one on glass, that counts as tissue")
    print(f"{'ink':<18}{'colour':<16}", *(f"{name:>15}" for name in (*grounds, *METHODS)))
    for name, colour in INKS.items():
        rgbs = [seen(ground + amount * ink_od(colour)) for ground in grounds.values()]
        found = [100 * find_ink(rgb, MPP)[is_inked].mean() for rgb in rgbs]
        left = [100 * tissue_of(rgbs[0], method)[is_inked].mean() for method in METHODS]
        print(f"{name:<18}{colour!s:<16}", *(f"{share:>15.0f}" for share in (*found, *left)))
    print("\npercent of tissue that is called ink, by amount of stain")
    print(f"{'stain':<30}", *(f"{amount:>6}" for amount in AMOUNTS))
    for name, vector in STAINS.items():
        lost = [
            100 * find_ink(seen(amount * texture(2) * vector), MPP).mean() for amount in AMOUNTS
        ]
        print(f"{name:<30}", *(f"{share:>6.1f}" for share in lost))
    rgb = np.tile(seen(0.5 * texture(3) * STAINS["nuclei close together"]), (5, 5, 1))
    find_ink(rgb, MPP)
    start = time.process_time()
    find_ink(rgb, MPP)
    print(
        f"\n{rgb.shape[0]} x {rgb.shape[1]} px: {1000 * (time.process_time() - start):.0f} CPU-ms"
    )


def tissue_of(rgb: np.ndarray, method: StainMethod) -> np.ndarray:
    """What counts as tissue."""
    spec = TissueSpec(mpp=MPP, method=method)
    return find_tissue(rgb, downsample=MPP / 0.25, slide_mpp=0.25, spec=spec).tissue


if __name__ == "__main__":
    main()
