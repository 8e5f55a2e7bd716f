import numpy as np
import pytest
import torch
from torch import nn

from pathassets.adapters.torch.aggregator import aggregate
from pathassets.errors import EncoderError

BAG = np.arange(12, dtype=np.float32).reshape(4, 3)
HERE = "tests.adapters.torch.test_aggregator"


class Pool(nn.Module):
    def __init__(self, form=lambda x: x):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.drop = nn.Dropout(0.9)
        self.form = form

    def forward(self, bag):
        return self.form(self.drop(bag * self.scale).mean(dim=0))


def plain():
    return Pool()


def row():
    return Pool(lambda x: (x[None], "attention"))


def table():
    return Pool(lambda x: torch.stack([x, x]))


def words():
    return Pool(lambda _: "a vector")


def broken():
    return Pool(lambda x: x @ torch.ones(99))


def number():
    return 3


class Averaged(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, bag):
        return self.layer(bag).mean(dim=0)


def test_a_module_without_weights_is_the_same_one_each_time():
    model = f"{HERE}:Averaged"
    first = aggregate(model, None, BAG, device="cpu")
    torch.manual_seed(31)
    assert np.array_equal(aggregate(model, None, BAG, device="cpu"), first)
    assert first.shape == (5,)


@pytest.mark.parametrize("factory", ["plain", "row"])
def test_a_module_makes_one_vector_in_its_evaluation_mode(factory):
    found = aggregate(f"{HERE}:{factory}", None, BAG, device="cpu")
    assert found.dtype == np.float32
    assert found.tolist() == BAG.mean(axis=0).tolist()


def test_weights_given_are_weights_used(tmp_path):
    state = Pool().state_dict() | {"scale": torch.tensor([2.0])}
    torch.save(state, tmp_path / "w.pt")
    found = aggregate(f"{HERE}:plain", str(tmp_path / "w.pt"), BAG, device="cpu")
    assert found.tolist() == (2 * BAG.mean(axis=0)).tolist()


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("table", r"made a tensor \(2, 3\)"), ("words", "made 'a vector'"),
        ("broken", r"failed on a bag of \(4, 3\): RuntimeError"), ("number", "made a int"),
        ("nothing", "cannot be opened: AttributeError"),
    ],
)  # fmt: skip
def test_what_is_no_aggregator_is_told(factory, said):
    with pytest.raises(EncoderError, match=said) as caught:
        aggregate(f"{HERE}:{factory}", None, BAG, device="cpu")
    assert caught.value.remedy
