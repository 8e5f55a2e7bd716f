"""An encoder ─▶ whether it is the same one here: 16 drawn tiles, encoded and compared.

    PCG64 ─▶ 16 tiles ─▶ encode ─▶ finite ─▶ told apart ─▶ the same in any company ─▶ as kept

Features of the encoders that are made here are kept in the package, those of others under the
home, from the first check on: `<home>/.golden/<name>-<digest>.npz`, for any machine to read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pathassets.core.features.encoder import Encoder, EncoderCard, EncoderRequest
from pathassets.core.features.encoder_cards import OWN, known_request
from pathassets.core.spec import canonical_json
from pathassets.engine.features.encoders import device_of, open_encoder
from pathassets.engine.features.golden_tiles import (
    FLAT,
    TILE_PX,
    TILES,
    TILES_SHA256,
    draw_tiles,
    tile_name,
)
from pathassets.errors import (
    ArtifactCorrupt,
    EncoderError,
    FeaturesNotFinite,
    SpecError,
    StoreError,
)

GOLDEN = ".golden"
"""Folder under the home."""
FLOAT32_TOLERANCE = 1e-3
"""Length of the difference over the length of the kept features, a tile. A cosine distance is at
most half its square. resnet18 is 1e-4 off between families of CPUs."""
HALF_TOLERANCE = 2e-2
"""Likewise of bfloat16 and float16."""
_EXACT = frozenset({"colour_stats"})
"""Encoders that promise the same bytes on any machine."""
_ORDER = np.arange(len(TILES)) * 5 % len(TILES)
"""Another order, in which a pass has another company."""
_GIVEN = Path(__file__).parent / "golden"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """An encoder that was found sound."""

    name: str
    version: str
    weights_sha256: str
    """Empty where there are none."""
    device: str
    precision: str
    dim: int
    n_tiles: int
    side_px: int
    """Of the tiles."""
    largest_difference: float
    """From the kept features, of the tile where it is largest; 0 where these are the first."""
    tolerance: float
    is_first: bool
    """Whether nothing was kept of it, or that was to be replaced."""
    golden: str
    """File of the kept features."""
    seconds: float
    """Of encoding the tiles once, the model being warm."""

    @property
    def patches_per_s(self) -> float:
        """How fast tiles of this side are encoded here; from so few, a rough figure."""
        return self.n_tiles / self.seconds


def check_encoder(
    request: EncoderRequest, *, device: str, home: Path, update: bool = False
) -> CheckResult:
    """Encode the tiles, and compare their features with those that are kept.

    Args:
        request: Which encoder.
        device: 'cpu' or 'cuda:N'.
        home: Where the features of others than the encoders made here are kept.
        update: Keep these features instead of what is kept.

    Raises:
        SpecError: there is no such encoder, or what the package keeps is to be replaced.
        FeaturesNotFinite: a tile's features are NaN or infinite.
        EncoderError: it cannot be opened; two tiles have the same features; a tile's depend on the
            tiles that come with it; or they are not as kept. The tile is named.
        StoreError: what is kept cannot be read or written.
    """
    request, device = known_request(request), device_of(device)
    if update and request.name in OWN:
        raise SpecError(
            f"encoder {request.name}: what its features must be is part of the package",
            remedy="Leave out --update.",
        )
    encoder = open_encoder(request, device=device)
    card = encoder.card
    side_px = card.input_px or card.preprocessing.side_of(TILE_PX)
    tiles = draw_tiles(side_px)
    features = _encode(encoder, tiles)
    card = encoder.card  # by now it knows its dim
    _refuse_not_finite(card.name, features)
    _refuse_untold(card.name, features)
    seconds = _check_company(encoder, tiles, features, device)
    identity = _identify(card, side_px)
    golden = _file_of(card, request, identity, home)
    is_first = update or not golden.is_file()
    if is_first:
        _keep(golden, features, identity)
    differences = differ(features, features if is_first else _read(golden, identity, card.name))
    tolerance = tolerance_of(card)
    worst = int(differences.argmax())
    if differences[worst] > tolerance:
        raise EncoderError(
            card.name,
            f"is not the same here: {tile_name(worst)} has features that are "
            f"{differences[worst]:.2g} from those kept, more than {tolerance:g}",
            remedy=_how_to_go_on(request, golden),
        )
    return CheckResult(
        name=card.name, version=card.version, weights_sha256=card.weights_sha256, device=device,
        precision=card.precision, dim=card.dim or 0, n_tiles=len(tiles), side_px=side_px,
        largest_difference=float(differences[worst]), tolerance=tolerance, is_first=is_first,
        golden=str(golden), seconds=seconds,
    )  # fmt: skip


def tolerance_of(card: EncoderCard) -> float:
    """How far its features may be off on another machine."""
    if card.name in _EXACT:
        return 0.0
    return FLOAT32_TOLERANCE if card.precision == "float32" else HALF_TOLERANCE


def differ(found: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Find each tile's distance from what is kept, over the latter's length.

    >>> differ(np.array([[3.0, 4.5], [0.0, 0.0], [0.0, 1.0]]), np.array([[3, 4], [0, 0], [0, 0]]))
    array([0.1, 0. , inf])
    """
    n = len(found)
    wide = kept.reshape(n, -1).astype(np.float64)
    apart = np.linalg.norm(found.reshape(n, -1) - wide, axis=1)
    length = np.linalg.norm(wide, axis=1)
    shares = np.where(apart > 0, np.inf, 0.0)
    np.divide(apart, length, out=shares, where=length > 0)
    return shares


# ----------------------------------------------------------------------------------- checks


def _encode(encoder: Encoder, tiles: np.ndarray) -> np.ndarray:
    features = encoder.encode(tiles)
    wanted = (len(tiles), *encoder.card.shape)
    if features.dtype != np.float32 or features.shape != wanted:
        raise EncoderError(
            encoder.card.name,
            f"gives {features.dtype} {features.shape} for {len(tiles)} tiles, not float32 {wanted}",
            remedy="Features are float32 (n, dim), as its card says.",
        )
    return features


def _refuse_not_finite(name: str, features: np.ndarray) -> None:
    is_finite = np.isfinite(features.reshape(len(features), -1)).all(axis=1)
    if not is_finite.all():
        raise FeaturesNotFinite(
            name,
            f"gives NaN or infinity for {tile_name(int(is_finite.argmin()))}",
            remedy="Look at its preprocessing, its weights and its precision.",
        )


def _refuse_untold(name: str, features: np.ndarray) -> None:
    """Refuse the same features for two tiles; two flat ones may look alike to a fair encoder."""
    seen: dict[bytes, int] = {}
    for i, row in enumerate(features):
        first = seen.setdefault(row.tobytes(), i)
        if first != i and i >= len(FLAT):
            raise EncoderError(
                name,
                f"gives {tile_name(first)} and {tile_name(i)} the same features",
                remedy="Look at its preprocessing and its weights: it does not see the pixels.",
            )


def _check_company(encoder: Encoder, tiles: np.ndarray, features: np.ndarray, device: str) -> float:
    """Encode the tiles in another order, and one at a time; returns the seconds of the former."""
    began = time.perf_counter()
    mixed = _encode(encoder, np.ascontiguousarray(tiles[_ORDER]))
    seconds = time.perf_counter() - began
    back = np.empty_like(mixed)
    back[_ORDER] = mixed
    alone = np.concatenate([_encode(encoder, tiles[i : i + 1]) for i in range(len(tiles))])
    # On the CPU forward passes have one size, so that nothing adds up in another order.
    allowed = 0.0 if device == "cpu" else tolerance_of(encoder.card)
    for company, found in (("in another order", back), ("alone", alone)):
        differences = differ(found, features)
        worst = int(differences.argmax())
        if not differences[worst] <= allowed:  # NaN is not
            again = differ(_encode(encoder, tiles), features)
            is_random = not again.max() <= allowed
            raise EncoderError(
                encoder.card.name,
                f"gives {tile_name(worst)} other features "
                + ("each time" if is_random else f"{company} than in company")
                + f", {differences[worst]:.2g} apart",
                remedy="Switch off what is random in it, such as dropout." if is_random
                else "Let nothing in it go by the batch, such as batch normalisation in training.",
            )  # fmt: skip
    return seconds


# -------------------------------------------------------------------------- what is kept


def _identify(card: EncoderCard, side_px: int) -> str:
    """Canonical JSON of what makes features comparable. The device is none of it."""
    return canonical_json(
        {
            "name": card.name,
            "version": card.version,
            "weights_sha256": card.weights_sha256,
            "preprocessing": asdict(card.preprocessing),
            "pooling": card.pooling,
            "shape": list(card.shape),
            "precision": card.precision,
            "tiles_sha256": TILES_SHA256,
            "side_px": side_px,
        }
    )


def _file_of(card: EncoderCard, request: EncoderRequest, identity: str, home: Path) -> Path:
    if request.name in OWN:
        return _GIVEN / f"{card.name}.npz"
    digest = hashlib.sha256(identity.encode()).hexdigest()
    plain = re.sub(r"[^\w.-]+", "_", card.name)[-64:]
    return home / GOLDEN / f"{plain}-{digest[:16]}.npz"


def _keep(path: Path, features: np.ndarray, identity: str) -> None:
    """Write the features aside, and rename the file: no half of one is ever seen."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            np.savez_compressed(file, features=features, identity=np.array(identity))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StoreError(
            path,
            f"cannot be written: {error.strerror or error}",
            remedy="Grant write permission, or point PATHASSETS_HOME at a folder you own",
        ) from error


def _read(path: Path, identity: str, name: str) -> np.ndarray:
    """Read what is kept, and nothing that could be code."""
    remedy = "Put the right file there, or remove it and check again."
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            features: np.ndarray = np.asarray(kept["features"])
            whose = str(kept["identity"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ArtifactCorrupt(path, f"holds no kept features: {error}", remedy=remedy) from error
    if whose != identity:
        raise ArtifactCorrupt(path, f"is of another encoder than {name} here", remedy=remedy)
    wanted = (len(TILES), *json.loads(identity)["shape"])
    if features.shape != wanted or features.dtype != np.float32:
        raise ArtifactCorrupt(
            path, f"holds {features.dtype} {features.shape}, not float32 {wanted}", remedy=remedy
        )
    return features


def _how_to_go_on(request: EncoderRequest, golden: Path) -> str:
    if request.name in OWN:
        return "Do not compare features made here with others; report this machine and its torch."
    return (
        f"Do not compare its features with those made before. They are kept in {golden}; where the "
        "change is meant, --update replaces them."
    )
