"""Which of some names are a file's, by what a name and a path are."""

from hypothesis import given
from hypothesis import strategies as st

from pathassets.engine.platform.selections.file_names import FileNames, parts_of

LETTERS = st.text(alphabet="ab./\u0301\u00e1", max_size=9)
PATHS = LETTERS.map(lambda text: f"/{text}")


def fits(name, path):
    """Whether a name is the end of a path, its suffix or that of an OME-TIFF left out or not."""
    parts = parts_of(name)
    *above, last = parts_of(path)
    stem, dot, suffix = last.rpartition(".")
    called = {last, stem if stem and dot and suffix else last}
    return bool(parts) and any((*above, one)[-len(parts) :] == parts for one in called)


@given(names=st.lists(LETTERS, max_size=6), path=PATHS)
def test_a_name_is_found_where_it_is_the_end_of_a_path_and_nowhere_else(names, path):
    assert set(FileNames(names).of(path)) == {name for name in names if fits(name, path)}


def test_an_accent_is_the_same_however_a_system_writes_it_and_an_ome_suffix_is_one():
    names = FileNames(["Ko\u0301lika", "b/x", "x.ome"])
    assert list(names.of("/a/K\u00f3lika.svs")) == ["Ko\u0301lika"]
    assert list(names.of("/a/b/x.ome.tif")) == ["x.ome", "b/x"]
