import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pathassets


@pytest.mark.parametrize("name", pathassets.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name):
    assert getattr(pathassets, name).__doc__


CLASSES = [
    name
    for name in pathassets.__all__
    if isinstance(getattr(pathassets, name), type) and name != "DeepFeatureExtractor"
]


def told(text: str, name: str, indent: int) -> bool:
    return re.search(rf"^ {{{indent}}}{name}: \S", text, re.MULTILINE) is not None


@pytest.mark.parametrize("name", CLASSES)
def test_help_of_every_class_tells_each_of_its_parameters(name):
    public = getattr(pathassets, name)
    parameters = inspect.signature(public).parameters
    assert parameters
    assert [each for each in parameters if not told(public.__doc__, each, 4)] == []


@pytest.mark.parametrize("name", [name for name in CLASSES if name.endswith("PatchesPool")])
def test_help_of_a_pool_of_locations_tells_every_key_that_patches_args_may_have(name):
    pool = getattr(pathassets, name)
    single = getattr(pathassets, name.removesuffix("Pool"))
    with pytest.raises(TypeError) as refused:
        pool(
            **{each: [] for each in inspect.signature(pool).parameters if each.endswith("_list")},
            patches_args={"nothing": 1}, proc_num_workers=1,
        )  # fmt: skip
    accepted = set(refused.value.remedy.removeprefix("It takes ").split(", "))
    given = {"wsi_file", "mask_data", "polygon_data", "points"}
    assert accepted | {"slide_mpp"} == set(inspect.signature(single).parameters) - given
    assert [key for key in accepted if not told(pool.__doc__, key, 8)] == []


def test_help_of_a_class_is_the_same_however_often_it_is_asked_for():
    assert pathassets.TissueSpec.__doc__ == pathassets.TissueSpec.__doc__
    assert pathassets.TissueSpec.__doc__.count("Parameters:") == 1


def test_a_public_name_is_written_once_where_type_checkers_see_it_and_comes_from_its_module():
    stub = ast.parse(Path(pathassets.__file__).with_suffix(".pyi").read_text())
    froms = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    written = [(f"pathassets.{node.module}", alias) for node in froms for alias in node.names]
    assert sorted(alias.name for _, alias in written) == pathassets.__all__
    assert [alias.name for _, alias in written if alias.asname != alias.name] == []
    defined = {alias.name: getattr(pathassets, alias.name).__module__ for _, alias in written}
    assert defined == {alias.name: module for module, alias in written}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'OpenSlide'"):
        pathassets.OpenSlide  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, pathassets; sys.exit(bool({'numpy', 'openslide', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0  # noqa: S603
