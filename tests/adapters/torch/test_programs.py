"""Programs that were made to do something else: whatever torch would do, nothing is run."""

import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import pytest
import torch
from torch import nn

from pathassets.adapters.torch.archives import Unfit, archive_of
from pathassets.adapters.torch.graphs import check_graph, check_operator
from pathassets.adapters.torch.programs import open_program
from pathassets.adapters.torch.scripts import check_code, check_pickle
from pathassets.adapters.torch.sizes import check_guard, check_size
from pathassets.errors import EncoderError

GRAPH = "models/model.json"


class Net(nn.Module):
    """Has what graphs of encoders have: weights, buffers, constants, no_grad, text, a mapping."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("scale", torch.ones(4))
        self.shift = torch.arange(4.0)

    def forward(self, x):
        with torch.no_grad():
            y = nn.functional.gelu(self.conv(x), approximate="tanh")
        y = nn.functional.interpolate(y, scale_factor=0.5, mode="bilinear")
        return {"features": torch.einsum("bcij->bc", y) * self.scale + self.shift, "n": x.shape[0]}


class Halving(nn.Module):
    """Needs guards: its sides are even."""

    def forward(self, x):
        return nn.functional.pixel_unshuffle(x, 2).mean((2, 3)).reshape(-1, 12)


def saved(folder, model, shapes, side=16):
    path = folder / "sound.pt2"
    exported = torch.export.export(
        model.eval(), (torch.zeros(2, 3, side, side),), dynamic_shapes=(shapes,)
    )
    torch.export.save(exported, path)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    sizes = {0: torch.export.Dim("n"), 3: torch.export.Dim("w", min=8)}
    return saved(tmp_path_factory.mktemp("program"), Net(), sizes)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "sound.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()).save(path)
    return path


def changed(path, to, change):
    """A copy, with every member gone through `change(name, data)`; None leaves one out."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(to, "w") as target:
        for info in source.infolist():
            name = info.filename.partition("/")[2]
            data = change(name, source.read(info))
            if data is not None:
                target.writestr(info, data)
    return to


def with_member(path, to, name, data):
    changed(path, to, lambda _name, data: data)
    with zipfile.ZipFile(to, "a") as target:
        target.writestr(f"sound/{name}", data)
    return to


def with_graph(path, to, change):
    def edit(name, data):
        if name != GRAPH:
            return data
        graph = json.loads(data)
        change(graph)
        return json.dumps(graph).encode()

    return changed(path, to, edit)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("RAN",)


def evil_save():
    buffer = io.BytesIO()
    torch.save((Evil(),), buffer)
    return buffer.getvalue()


CALL = "__import__('os').mkdir('RAN')"


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "RAN").exists()


def test_a_sound_program_gives_what_its_model_gives(tmp_path, sound):
    module, sha256 = open_program(sound)
    x = torch.rand(5, 3, 16, 24)
    assert module(x)["features"].shape == (5, 4)
    again, other = open_program(changed(sound, tmp_path / "same.pt2", lambda _n, data: data))
    assert torch.equal(again(x)["features"], module(x)["features"])
    assert len(sha256) == 64 != other


def test_guards_on_sizes_are_kept(tmp_path):
    shapes = {0: torch.export.Dim("n"), 2: 2 * torch.export.Dim("half", min=4, max=90)}
    module, _ = open_program(saved(tmp_path, Halving(), shapes))
    assert module(torch.rand(4, 3, 32, 16)).shape == (4, 12)
    with pytest.raises(EncoderError, match=r"pixels \(4, 3, 500, 16\): Guard failed.* size"):
        module(torch.rand(4, 3, 500, 16))


def test_a_sound_script_runs(script):
    module, _ = open_program(script)
    assert module(torch.rand(2, 3, 8, 8)).shape == (2, 4, 6, 6)


@pytest.mark.parametrize("evil", [pickle.dumps(Evil()), evil_save()], ids=["plain", "torch"])
@pytest.mark.parametrize("name", ["data/sample_inputs/model.pt", "data/weights/model.pt"])
def test_a_pickle_that_runs_code_is_refused_in_any_member(tmp_path, sound, name, evil):
    def replaced(member, data):
        return evil if member == name else data

    path = changed(sound, tmp_path / "evil.pt2", replaced)
    if name.startswith("data/weights"):
        path = with_member(sound, tmp_path / "more.pt2", name, evil)
    with pytest.raises(EncoderError, match=r"holds more than tensors|no archive of torch"):
        open_program(path)


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_a_weight_that_is_said_to_be_pickled_is_looked_at(tmp_path, sound, kind):
    def pickled(name, data):
        if name == f"data/{kind}/model_{kind}_config.json":
            config = json.loads(data)
            payload = next(iter(config["config"].values()))
            payload["use_pickle"] = True
            return json.dumps(config).encode()
        return evil_save() if name in ("data/weights/weight_0", "data/constants/tensor_0") else data

    with pytest.raises(EncoderError, match="holds more than tensors"):
        open_program(changed(sound, tmp_path / "evil.pt2", pickled))


@pytest.mark.parametrize("member", ["opaque_obj_0", "custom_obj_0", "../../models/model.json"])
def test_objects_in_the_place_of_weights_are_refused(tmp_path, sound, member):
    def edit(name, data):
        return data.replace(b"tensor_0", member.encode()) if name.endswith("_config.json") else data

    with pytest.raises(EncoderError, match=r"which is no weight|has the text"):
        open_program(changed(sound, tmp_path / "evil.pt2", edit))


def test_a_weight_whose_size_is_made_up_is_refused(tmp_path, sound):
    def edit(name, data):
        return b"" if name == "data/weights/weight_0" else data

    with pytest.raises(EncoderError, match="empty, and said to have 108 values"):
        open_program(changed(sound, tmp_path / "evil.pt2", edit))


@pytest.mark.parametrize("name", [
    "data/aotinductor/model/model.so", "executorch/model.pte", "data/weights/model_weights.py",
    "models/other.json", "data/sample_inputs/other.pt", "__pycache__/x.pyc",
])  # fmt: skip
def test_libraries_and_members_of_no_known_kind_are_refused(tmp_path, sound, name):
    with pytest.raises(EncoderError, match="of no kind that is known here"):
        open_program(with_member(sound, tmp_path / "evil.pt2", name, b"\x7fELF"))


def nodes_of(graph):
    return graph["graph_module"]["graph"]["nodes"]


def a_size(graph, text):
    values = graph["graph_module"]["graph"]["tensor_values"]
    values["x"]["sizes"][0]["as_expr"]["expr_str"] = text


def a_call(graph, target, argument):
    nodes_of(graph)[-1].update(
        target=target, inputs=[{"name": "", "arg": {"as_string": argument}, "kind": 1}]
    )


def a_name(graph, text):
    graph["graph_module"]["graph"]["inputs"][-1]["as_tensor"]["name"] = text


def a_structure(graph, kind, context):
    signature = graph["graph_module"]["module_call_graph"][0]["signature"]
    spec = {"type": kind, "context": context, "children_spec": []}
    signature["out_spec"] = json.dumps([1, spec])


ENUM = json.dumps({"__enum__": True, "fqn": "antigravity:X", "name": "Y"})
FACTORY = {"default_factory_module": "os", "default_factory_name": "mkdir", "dict_context": []}
ATTACKS = {
    "a size": lambda graph: a_size(graph, CALL),
    "a size within": lambda graph: a_size(graph, f'Max("{CALL}", 2)'),
    "a guard": lambda graph: graph.update(guards_code=[CALL]),
    "a guard's text": lambda graph: graph.update(guards_code=[f"L['x\"), {CALL}, (\"'] == 1"]),
    "a range": lambda graph: graph.update(range_constraints={CALL: {"min_val": 0}}),
    "a system call": lambda graph: a_call(graph, "torch.os.mkdir", "RAN"),
    "a hub": lambda graph: a_call(graph, "torch.hub.load", "RAN"),
    "a pickle": lambda graph: a_call(graph, "torch.load", "RAN"),
    "a method": lambda graph: a_call(graph, "_operator.methodcaller", "RAN"),
    "an operator of files": lambda graph: a_call(graph, "torch.ops.aten.from_file.default", "RAN"),
    "another of files": lambda graph: a_call(graph, "torch.ops.aten.save.default", "RAN"),
    "a library": lambda graph: a_call(graph, "torch.ops.load_library", "RAN"),
    "an extension": lambda graph: a_call(graph, "#x:RAN", "RAN"),
    "a kernel": lambda graph: a_call(graph, "torch.ops.higher_order.triton_kernel_wrapper", "RAN"),
    "an inner attribute": lambda graph: a_call(graph, "torch.ops.aten.add.__class__", "RAN"),
    "an argument's name": lambda graph: a_name(graph, f"x={CALL}"),
    "a node's name": lambda graph: nodes_of(graph)[0].update(name=f"x\n    {CALL}\n    y"),
    "a keyword's name": lambda graph: nodes_of(graph)[0]["inputs"][0].update(name=f"{CALL}, x"),
    "a module to import": lambda graph: a_structure(graph, "collections.defaultdict", FACTORY),
    "another to import": lambda graph: a_structure(graph, "builtins.dict", ENUM),
    "a key of a mapping": lambda graph: a_structure(graph, "builtins.dict", json.dumps([CALL])),
    "an object": lambda graph: graph["graph_module"]["graph"].update(
        custom_obj_values={"x": {"custom_obj": {"name": "x", "class_fqn": "y"}}}
    ),
    "a depth": lambda graph: graph.update(verifiers=json.loads("[" * 90 + "]" * 90)),
    "a graph in remarks": lambda graph: graph["graph_module"]["graph"]["tensor_values"].update(
        metadata={"sizes": [{"as_expr": {"expr_str": CALL}}]}
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_graph_that_says_more_than_what_is_computed_is_refused(tmp_path, sound, attack):
    path = with_graph(sound, tmp_path / "evil.pt2", ATTACKS[attack])
    with pytest.raises(EncoderError, match=r"its member 'models/model.json' (has|calls|is nested)"):
        open_program(path)


@pytest.mark.parametrize("text", [
    "Symbol('s77', positive=True, integer=True)", "2*s39", "((s0 - 1)//2) + 1", "int_oo",
    "Mul(Integer(60), Max(Integer(1), TruncToInt(Mul(Float('0.5', precision=53), ToFloat(s1)))))",
    "Pow(Symbol('s0', integer=True), Integer(-1))", "Eq(Mod(s0, 8), 0)", "s0 < 5",
])  # fmt: skip
def test_sizes_are_arithmetic(text):
    check_size(text)


@pytest.mark.parametrize("text", [
    CALL, "().__class__", "eval('1')", "Max('eval(1)')", "Symbol(name=open)", "lambda: 1",
    "[x for x in s0]", "s0.args", "f'{s0}'", "9**9**9", "Pow(Pow(9, 64), 64)", "9**s0", "1<<9999",
    "Float('1', precision=10000000)", "Integer(s0)(s1)", "L['x'].size()[0]", "+" * 6000, "(" * 400,
    "Max(*s0)", "Symbol('s0', **s1)", "1e999", "x", "s0 if s1 else s2", "",
])  # fmt: skip
def test_what_is_no_arithmetic_is_no_size(text):
    with pytest.raises(Unfit):
        check_size(text)


@pytest.mark.parametrize("text", [
    "L['x'].data_ptr()", "L['x'].size(0)", "L['x'].size()[CALL]", "G['x'].size()[0]", "L[L]",
    "L['x'].__class__", "L['a\"b'].size()[0] == 1", CALL,
])  # fmt: skip
def test_what_looks_at_more_than_sizes_is_no_guard(text):
    check_guard("(L['x'].size()[2] // 2) != L['kw']['y'][0].stride()[1]")
    with pytest.raises(Unfit):
        check_guard(text)


def test_operators_are_those_that_torch_has():
    check_operator("torch.ops.aten.add.Tensor")
    check_operator("_operator.mul")
    with pytest.raises(Unfit, match="does not have"):
        check_operator("torch.ops.aten.no_such_thing.default")


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b"{", b"\xff", b"[" * 9000])
def test_a_graph_is_json(data):
    with pytest.raises(Unfit):
        check_graph(data)


def zip_of(members, *, packed=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name that is there twice
        with zipfile.ZipFile(buffer, "w", packed) as target:
            for name, data in members:
                target.writestr(name, data)
    return buffer.getvalue()


def test_an_archive_that_misleads_is_refused():
    twice = zip_of([("a/x", b"1"), ("a/x", b"2")])
    bomb = zip_of([("a/x", bytes(10**8))], packed=zipfile.ZIP_DEFLATED)
    for data, fact in (
        (twice, "two members of one name"),
        (bomb, "is packed"),
        (zip_of([("a/../../x", b"")]), "a member called"),
        (zip_of([("a/x\ny", b"")]), "a member called"),
        (b"PK\x03\x04", "no archive"),
    ):
        with pytest.raises(Unfit, match=fact):
            archive_of(data)
    with pytest.raises(Unfit, match="larger than the file"):
        archive_of(bomb, may_be_packed=True)


def test_members_within_each_other_are_refused():
    whole = zip_of([("a/x", b"12345678" * 500), ("a/y", b"12345678" * 500)])
    start = whole.rindex(b"a/y") - 46
    offset = start + 42
    lying = whole[:offset] + bytes(4) + whole[offset + 4 :]  # y, too, begins where x does
    with pytest.raises(Unfit):
        archive_of(lying)


def test_what_is_opened_is_what_was_looked_at(tmp_path, sound, monkeypatch):
    path = tmp_path / "p.pt2"
    path.write_bytes(sound.read_bytes())
    load = torch.export.load

    def loading_late(file):
        path.write_bytes(b"another program, which nobody looked at")
        return load(file)

    monkeypatch.setattr(torch.export, "load", loading_late)
    assert open_program(path)[0](torch.rand(2, 3, 16, 16))["features"].shape == (2, 4)


@pytest.mark.parametrize("code", [
    "def f(x):\n  return torch.save(x, 'RAN')", "def f(x):\n  return x.save('RAN')",
    "def f(x):\n  return torch.from_file('RAN', True, 9)", "def f(x):\n  t = torch\n  return t",
    "def f(x):\n  return getattr(torch, 'save')(x, 'RAN')", "def f(x):\n  o = ops.prim\n",
    "def f(x):\n  return getattr(x, x)", "def f(x):\n  return ops.image.read_file('RAN')",
    "def f(x):\n  return ops.prim.rpc_sync('x')", "def f(x):\n  return ^Evil()(x)",
    "def f(x):\n  return x # \r", "def f(x):\n  return '\x00'",
])  # fmt: skip
def test_scripts_open_no_files_and_call_no_strangers(tmp_path, script, code):
    with pytest.raises(Unfit):
        check_code(code.encode())

    def edit(name, data):
        return data + b"\n" + code.encode() if name.endswith("container.py") else data

    with pytest.raises(EncoderError, match=r"its member 'code/.*container.py'"):
        open_program(changed(script, tmp_path / "evil.ts", edit))


@pytest.mark.parametrize("data", [
    pickle.dumps(Evil(), 2), pickle.dumps(Evil(), 4), b"(S'x'\nios\nmkdir\n.", b"junk", b"",
    b"\x80\x02c__torch__.torch\nclasses.evil\n.", b"\x80\x02c__torch__.torch.classes\nevil.X\n.",
])  # fmt: skip
def test_pickles_of_scripts_name_tensors_and_their_own_classes(data):
    check_pickle(b"\x80\x02c__torch__\nNet\n.")
    with pytest.raises(Unfit):
        check_pickle(data)


def test_a_script_with_a_strange_pickle_is_refused(tmp_path, script):
    def edit(name, data):
        return pickle.dumps(Evil(), 2) if name == "data.pkl" else data

    with pytest.raises(EncoderError, match=r"'data.pkl' names 'posix.mkdir', which is no tensor"):
        open_program(changed(script, tmp_path / "evil.ts", edit))


@pytest.mark.parametrize("name", [
    "data/weights/model_weights_config.json", GRAPH, "data/sample_inputs/model.pt",
    "archive_version", "data/weights/weight_0",
])  # fmt: skip
@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_damaged_program_is_one_error_and_nothing_is_logged(tmp_path, sound, name, how, caplog):
    def edit(member, data):
        if member != name:
            return data
        return None if how == "missing" else data[: len(data) // 2]

    with pytest.raises(EncoderError) as refused:
        open_program(changed(sound, tmp_path / "bad.pt2", edit))
    assert str(tmp_path) in str(refused.value)
    assert caplog.text == ""


def test_an_older_program_is_looked_at_as_well(tmp_path, sound):
    with zipfile.ZipFile(sound) as source:
        graph = source.read(f"sound/{GRAPH}")
    members = [
        ("version", b"8.20"), ("serialized_exported_program.json", graph),
        ("serialized_state_dict.pt", evil_save()), ("serialized_constants.pt", evil_save()),
        ("serialized_example_inputs.pt", b""),
    ]  # fmt: skip
    (tmp_path / "old.pt2").write_bytes(zip_of(members))
    with pytest.raises(EncoderError, match=r"'serialized_state_dict.pt' holds more than tensors"):
        open_program(tmp_path / "old.pt2")


@pytest.mark.slow
def test_the_command_says_it_in_one_line(tmp_path, sound):
    evil = with_graph(sound, tmp_path / "evil.pt2", ATTACKS["a guard"])
    command = "from pathassets.cli import main; main()"
    run = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", command, "encoders", "check", str(evil)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
