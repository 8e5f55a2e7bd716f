import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pathassets.adapters.torch import cuda_devices
from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.encoder_cards import OWN, card_of
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.engine.features.encoders import device_of, encoder_of_module, open_encoder
from pathassets.errors import EncoderError, SpecError
from tests.engine.encoder_factories import Declaring, Means

ROOT = Path(__file__).parents[3]
HERE = "tests.engine.encoder_factories"
PATCHES = np.random.default_rng(5).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def by_hand(module, preprocessing=None):
    prepared = preprocessing or Preprocessing()
    pixels = PATCHES.astype(np.float32) * prepared.scale
    pixels = (pixels - np.float32(prepared.mean)) / np.float32(prepared.std)
    with torch.no_grad():
        return module(torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)).numpy()


@pytest.mark.parametrize("name", OWN)
def test_an_opened_encoder_is_the_one_of_its_card(name) -> None:
    encoder = open_encoder(name)
    assert encoder.card is card_of(name)
    assert encoder.encode(np.zeros((1, 32, 32, 3), dtype=np.uint8)).shape == (1, encoder.card.dim)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SpecError, match="Did you mean resnet18") as caught:
        open_encoder("resnet19")
    assert str(caught.value).startswith("encoder resnet19: there is no such encoder. ")


def test_an_encoder_for_the_cpu_is_not_silently_opened_elsewhere() -> None:
    with pytest.raises(EncoderError, match="runs on the CPU alone, not on 'cuda:0'") as caught:
        open_encoder("colour_stats", device="cuda:0")
    assert caught.value.remedy == "Open it with device='cpu'."


@pytest.mark.parametrize("name", ["resnet18", f"{HERE}:make_means"])
def test_a_device_that_is_not_here_is_refused(name) -> None:
    with pytest.raises(EncoderError, match="there is no device 'cuda:99'"):
        open_encoder(name, device="cuda:99")


def test_a_factory_without_weights_makes_the_same_module_whatever_was_drawn_before() -> None:
    first = open_encoder(f"{HERE}:make_means")
    torch.manual_seed(77)
    state = torch.get_rng_state()
    second = open_encoder(f"{HERE}:make_means")
    assert torch.equal(torch.get_rng_state(), state)
    assert first.card == second.card
    assert len(first.card.weights_sha256) == 64
    assert np.array_equal(first.encode(PATCHES), second.encode(PATCHES))


def test_a_factory_gets_its_kwargs_and_its_version_is_told() -> None:
    asked = EncoderRequest(name=f"{HERE}:make_means", kwargs={"n_features": 7}, version="3")
    encoder = open_encoder(asked)
    assert encoder.encode(PATCHES).shape == (3, 7)
    assert (encoder.card.dim, encoder.card.version) == (7, "3")


def test_weights_given_are_weights_used(tmp_path) -> None:
    torch.manual_seed(1)
    module = Means()
    path = tmp_path / "means.pt"
    torch.save(module.state_dict(), path)
    encoder = open_encoder(EncoderRequest(name=f"{HERE}:make_means", weights=str(path)))
    assert np.allclose(encoder.encode(PATCHES), by_hand(module), atol=1e-5)
    assert encoder.card.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    other = encoder_of_module(Means(), name="means", weights=str(path))
    assert np.array_equal(other.encode(PATCHES), encoder.encode(PATCHES))
    with pytest.raises(EncoderError, match="there is no such file of weights"):
        encoder_of_module(Means(), name="means", weights=str(tmp_path / "none.pt"))


def test_what_a_module_declares_is_done_and_what_a_request_says_comes_first() -> None:
    encoder = open_encoder(f"{HERE}:make_declaring")
    with_own = by_hand(encoder._module, Declaring.preprocessing)
    assert np.allclose(encoder.encode(PATCHES), with_own, atol=1e-5)
    asked = EncoderRequest(name=f"{HERE}:make_declaring", preprocessing=Preprocessing())
    plain = open_encoder(asked)
    assert np.allclose(plain.encode(PATCHES), by_hand(plain._module), atol=1e-5)
    assert plain.card.preprocessing == Preprocessing()


def test_a_factory_may_make_an_encoder() -> None:
    assert open_encoder(f"{HERE}:make_encoder").card.name == "colour_stats"
    with pytest.raises(EncoderError, match="makes an encoder, which has its weights"):
        open_encoder(EncoderRequest(name=f"{HERE}:make_encoder", weights="a.pt"))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (EncoderRequest(name="no.such.package:make"), "cannot be imported: No module named 'no'"),
        (EncoderRequest(name=f"{HERE}:nothing_here"), "cannot be imported"),
        (EncoderRequest(name=f"{HERE}:NO_FUNCTION"), "is no function"),
        (EncoderRequest(name=f"{HERE}:make_nothing"), "is a str"),
        (EncoderRequest(name=f"{HERE}:make_means", kwargs={"depth": 3}), "cannot be called so"),
        (EncoderRequest(name="/no/such/vit.pt2"), "there is no such file"),
    ],
)
def test_what_cannot_be_opened_says_why_and_what_to_do(request_, said) -> None:
    with pytest.raises(EncoderError, match=said) as caught:
        open_encoder(request_)
    assert caught.value.remedy


def test_a_published_encoder_whose_file_is_not_there_says_so_at_once(tmp_path) -> None:
    with pytest.raises(EncoderError, match=r"none\.bin: cannot be read"):
        open_encoder(EncoderRequest(name="uni", weights=str(tmp_path / "none.bin")))


def test_programs_of_both_kinds_give_the_features_of_their_module(tmp_path) -> None:
    torch.manual_seed(2)
    module = Means().eval()
    example = torch.zeros(8, 3, 32, 32)
    torch.export.save(torch.export.export(module, (example,)), tmp_path / "means.pt2")
    encoder = open_encoder(str(tmp_path / "means.pt2"))
    assert np.allclose(encoder.encode(PATCHES), by_hand(module), atol=1e-5)
    file = (tmp_path / "means.pt2").read_bytes()
    assert encoder.card.weights_sha256 == hashlib.sha256(file).hexdigest()


def test_colour_statistics_do_not_import_torch() -> None:
    code = """if True:
        import sys
        from pathassets.engine.features.encoders import open_encoder
        open_encoder("colour_stats")
        assert not {"torch", "timm", "transformers"} & set(sys.modules)"""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_encoders_made_here_need_no_optional_library(monkeypatch) -> None:
    for library in ("timm", "transformers"):
        monkeypatch.setitem(sys.modules, library, None)  # an import of it fails
    assert [open_encoder(name).card.name for name in OWN] == list(OWN)


@pytest.mark.parametrize("name", ["ResNet18", "resnet_18", "ResNet-18"])
def test_another_spelling_of_a_name_is_that_encoder(name) -> None:
    assert open_encoder(name, device="CPU").card == card_of("resnet18")


def test_a_gpu_has_its_common_names() -> None:
    for device in ("gpu", "cuda", "CUDA:0", torch.device("cuda")):
        assert device_of(device) == "cuda:0"
    if not cuda_devices():
        with pytest.raises(EncoderError, match="there is no device 'cuda:0'"):
            open_encoder("resnet18", device="gpu")
