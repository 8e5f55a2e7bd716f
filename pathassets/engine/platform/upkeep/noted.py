"""Catalog, store -> what is noted and does not follow, and releases that are not what they were.

wanted          ─▶ state as artifacts and attempts give it?        ─┐
latest_attempt  ─▶ the newest attempt of its place?                ─┼─▶ noted anew by --fix
release         ─▶ its artifact known, there, and of its content?  ─▶ told: none can be made anew
                ─▶ its features listed with the bytes it names?    ─▶ a note: what helps is a copy
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter

from pathassets.adapters.store.store import content_sha256_of
from pathassets.catalog.releases.records import ReleaseRecord
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import DATASET
from pathassets.core.stages import FEATURES
from pathassets.core.text import counted
from pathassets.engine.datasets.folder import ANEW_REMEDY
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.absence import read_present, why_absent
from pathassets.engine.platform.upkeep.adopt import adopt, is_proved, unfounded
from pathassets.engine.platform.upkeep.finding import Finding
from pathassets.engine.platform.upkeep.stored import FIX
from pathassets.errors import ArtifactCorrupt, ArtifactMissing


def check_noted(platform: Platform) -> Iterator[Finding]:
    """Hold what the catalog notes against what it follows from."""
    for key in platform.catalog.unnoted_attempts():
        yield Finding(
            kind="attempt_unnoted",
            subject=f"latest_attempt {key}",
            evidence="what is noted as its newest attempts are others, or are not there",
            remedy=f"{FIX} notes them anew",
            mend=partial(_derive, platform, key),
        )
    for slide_id, wrong in groupby(platform.catalog.wrong_states(), key=lambda one: one.slide_id):
        said = (f"{one.stage}/{one.name} is noted as {one.noted}, not {one.derived}"
                if one.noted != one.derived else
                f"{one.stage}/{one.name} is {one.noted} for another reason than is noted"
                for one in wrong)  # fmt: skip
        yield Finding(
            kind="state_wrong",
            subject=slide_id,
            evidence="; ".join(said),
            remedy=f"{FIX} derives them anew",
            mend=partial(_derive, platform, slide_id),
        )


def _derive(platform: Platform, key: str) -> str:
    platform.catalog.derive_again(key)
    return "newest attempts and states were noted anew"


def check_releases(platform: Platform, *, reads_bytes: bool) -> Iterator[Finding]:
    """Look at the artifact of every release.

    Raises:
        StoreError: the store does not answer, so that nobody knows.
    """
    for release in platform.catalog.releases():
        address = Address(DATASET, release.dataset, ALL_SLIDES, release.digest)
        if platform.catalog.find_artifact(address) is None:
            yield _unknown(platform, release, address)
            continue
        try:
            artifact = read_present(platform, address, reads_bytes=reads_bytes)
        except (ArtifactMissing, ArtifactCorrupt) as error:
            is_gone = isinstance(error, ArtifactMissing)
            yield _release(release, error.message, is_gone=is_gone)
            continue
        if artifact.content_sha256 != release.content_sha256:
            said = f"the files of {address} are whole, and not those that were released"
            yield _release(release, said, is_gone=False)


def check_released_features(platform: Platform) -> Iterator[Finding]:
    """Hold the files of features, as the catalog lists them, against what releases name.

    Whether those files are there, and are what is listed, is told of the features.
    """
    by_entry = attrgetter("features")
    for entry, releases in groupby(sorted(platform.catalog.releases(), key=by_entry), by_entry):
        listed = {
            (one.address.partition_key, one.address.digest): content_sha256_of(
                {file.path: file.sha256 for file in one.files}
            )
            for one in platform.catalog.artifacts(FEATURES, entry)
        }
        for release in releases:
            anew = [
                member["slide_id"]
                for member in platform.catalog.release_members(release.dataset, release.version)
                if listed.get((member["slide_id"], member["features_digest"]), "")
                not in {"", member["features_sha256"]}
            ]
            if anew:
                many = f"{counted(len(anew), 'slide')}, {anew[0]} the first"
                yield Finding(
                    kind="release_changed",
                    subject=release.name,
                    evidence=f"features of {many}, were made anew, to other bytes than it names",
                    remedy=ANEW_REMEDY,
                    is_note=True,
                )


def _unknown(platform: Platform, release: ReleaseRecord, address: Address) -> Finding:
    """A release whose artifact the catalog does not know, such as after an older one was restored.

    It may lie in the store all the same.
    """
    told = _release(release, f"{address} {why_absent(platform, address).said}", is_gone=True)
    try:
        artifact = platform.store.read_checked(address)
    except (ArtifactMissing, ArtifactCorrupt):
        return told
    if not is_proved(artifact, platform.recipe) or unfounded(platform, artifact, set()):
        return told  # what keeps it out is told of the artifact
    return replace(
        told,
        evidence=f"{address} is whole in the store, and the catalog does not know it",
        remedy=f"{FIX} enters it",
        mend=partial(adopt, platform, address),
    )


def _release(release: ReleaseRecord, evidence: str, *, is_gone: bool) -> Finding:
    return Finding(
        kind="release_gone" if is_gone else "release_changed",
        subject=release.name,
        evidence=evidence,
        remedy=f"Copy its folder from where it was copied to; pathassets dataset show "
        f"{release.name} tells who is in it all the same",
    )
