"""Two versions of a dataset -> what changed from the one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pathassets.core.datasets.used_patches import n_used_of, pack_used
from pathassets.core.datasets.withdrawn import Withdrawn

_CAUSES = {
    "slide_sha256": "content of the slide",
    "slide_version": "resolution of the slide",
    "tissue_mask_digest": "tissue mask",
    "patch_locations_digest": "patch locations",
    "features_digest": "features",
    "features_sha256": "bytes of the features",
}
"""Columns that a member is made from, the first cause first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTables:
    """What a version of a dataset holds."""

    manifest: pd.DataFrame
    left_out: pd.DataFrame
    used: Mapping[str, bytes] | None = field(default_factory=dict)
    """By slide, a bit for each row of its features that is used; empty: all of all are. None: there
    are rules for patches, and it is not known which they left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetChanges:
    """What differs; each table is sorted by slide."""

    added: pd.DataFrame
    """slide_id, patient, label, split of slides that are in the second alone."""
    removed: pd.DataFrame
    """Those that are in the first alone, and `why`: the second lists them as left out, or they were
    taken out since."""
    moved: pd.DataFrame
    """slide_id, patient, from, to: in another part."""
    relabelled: pd.DataFrame
    """slide_id, patient, from, to: another label; patients likewise in `renamed`."""
    renamed: pd.DataFrame
    remade: pd.DataFrame
    """slide_id, what: other features, and the first of what they were made from that differs."""
    left_out: pd.DataFrame
    """slide_id, from, to: why it was, and is, left out; empty where it was not, or is not."""
    other_patches: pd.DataFrame | None
    """slide_id, n_used_from, n_used_to: other patches on the same locations are used, be they as
    many. None: it is not known of one of the two which it uses."""

    @property
    def tables(self) -> dict[str, pd.DataFrame | None]:
        """Slides that each kind of change is of; None where that is not known."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def counts(self) -> dict[str, int]:
        """How many slides each kind of change is known of."""
        return {kind: 0 if rows is None else len(rows) for kind, rows in self.tables.items()}

    @property
    def is_none(self) -> bool:
        """Whether both are known to be the same."""
        return self.other_patches is not None and not any(self.counts.values())


def compare(
    before: VersionTables, after: VersionTables, withdrawn: Iterable[Withdrawn] = ()
) -> DatasetChanges:
    """Tell what changed from one version to another, slide by slide.

    `withdrawn` are members of the first that were taken out since.
    """
    old, new = (one.manifest.set_index("slide_id") for one in (before, after))
    whys = [one.left_out.set_index("slide_id")["why"] for one in (before, after)]
    both = old.index.intersection(new.index).sort_values()
    shown = ["patient", "label", "split"]
    removed = old.loc[old.index.difference(new.index), shown]
    gone = pd.Series({one.slide_id: one.said for one in withdrawn}, dtype="string")
    why = gone.reindex(removed.index).fillna(whys[1].reindex(removed.index)).fillna("")
    return DatasetChanges(
        added=new.loc[new.index.difference(old.index), shown].reset_index(),
        removed=removed.assign(why=why).reset_index(),
        moved=_changed(old, new, both, "split"),
        relabelled=_changed(old, new, both, "label"),
        renamed=_changed(old, new, both, "patient").drop(columns="patient"),
        remade=_remade(old.loc[both], new.loc[both]),
        left_out=_left_out(*whys),
        other_patches=_other_patches(old.loc[both], new.loc[both], before.used, after.used),
    )


def _changed(old: pd.DataFrame, new: pd.DataFrame, both: pd.Index, column: str) -> pd.DataFrame:
    one, other = old.loc[both, column].fillna(""), new.loc[both, column].fillna("")
    table = pd.DataFrame({"patient": new.loc[both, "patient"], "from": one, "to": other})
    differ: pd.DataFrame = table.loc[(one != other).to_numpy(bool)]
    return differ.rename_axis("slide_id").reset_index()


def _remade(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    what = pd.Series("", index=old.index, dtype="string")
    for column, said in _CAUSES.items():
        differs = (old[column].fillna("") != new[column].fillna("")).to_numpy(bool)
        what[(what == "").to_numpy(bool) & differs] = said
    return what[(what != "").to_numpy(bool)].rename("what").rename_axis("slide_id").reset_index()


def _other_patches(
    old: pd.DataFrame,
    new: pd.DataFrame,
    before: Mapping[str, bytes] | None,
    after: Mapping[str, bytes] | None,
) -> pd.DataFrame | None:
    """On other locations all patches are others: that is told as made anew."""
    if before is None or after is None:
        return None
    of_same = "patch_locations_digest"
    is_same = (old[of_same].fillna("") == new[of_same].fillna("")).to_numpy(bool)
    rows = old.index[is_same if before or after else []]
    bits = zip(_bits(old.loc[rows], before), _bits(new.loc[rows], after), strict=True)
    differ = [
        (slide_id, n_used_of(one), n_used_of(other))
        for slide_id, (one, other) in zip(rows, bits, strict=True)
        if one != other
    ]
    return pd.DataFrame(differ, columns=["slide_id", "n_used_from", "n_used_to"])


def _bits(rows: pd.DataFrame, used: Mapping[str, bytes]) -> Iterable[bytes]:
    for slide_id, n_patches in rows["n_patches"].items():
        yield used[str(slide_id)] if used else pack_used(np.ones(int(n_patches), bool))


def _left_out(old: pd.Series, new: pd.Series) -> pd.DataFrame:
    every = old.index.union(new.index).sort_values()
    table = pd.DataFrame(
        {"from": old.reindex(every).fillna(""), "to": new.reindex(every).fillna("")}
    )
    return (
        table[(table["from"] != table["to"]).to_numpy(bool)].rename_axis("slide_id").reset_index()
    )
