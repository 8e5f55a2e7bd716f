"""Two versions of a dataset -> what changed from the one to the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

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

    @property
    def counts(self) -> dict[str, int]:
        """How many slides each kind of change is of."""
        return {name: len(getattr(self, name)) for name in self.__dataclass_fields__}

    @property
    def is_none(self) -> bool:
        """Whether both are the same."""
        return not any(self.counts.values())


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


def _left_out(old: pd.Series, new: pd.Series) -> pd.DataFrame:
    every = old.index.union(new.index).sort_values()
    table = pd.DataFrame(
        {"from": old.reindex(every).fillna(""), "to": new.reindex(every).fillna("")}
    )
    return (
        table[(table["from"] != table["to"]).to_numpy(bool)].rename_axis("slide_id").reset_index()
    )
