import pytest
import torch
from torch.utils.data import default_collate

from pathassets.adapters.torch.bags.bag import Bag, concatenate_bags, pad_bags


def bag(n, name, label=0, shape=(3,)):
    features = torch.arange(n * torch.Size(shape).numel(), dtype=torch.float16) + 1
    return Bag(
        features=features.reshape(n, *shape),
        coordinates=torch.arange(4 * n).reshape(n, 4) + 1,
        label=label, patient=f"p-{name}", slide_id=name,
    )  # fmt: skip


BAGS = [bag(2, "a", 1), bag(0, "b", -100), bag(5, "c", 0)]


def test_padded_bags_are_themselves_where_the_mask_is_true_and_zero_elsewhere():
    batch = pad_bags(BAGS)
    assert batch.features.shape == (3, 5, 3)
    assert batch.coordinates.shape == (3, 5, 4)
    assert batch.mask.dtype == torch.bool
    assert batch.mask.sum(1).tolist() == [2, 0, 5]
    for place, one in enumerate(BAGS):
        assert torch.equal(batch.features[place][batch.mask[place]], one.features)
        assert torch.equal(batch.coordinates[place][batch.mask[place]], one.coordinates)
    assert not batch.features[~batch.mask].any()
    assert not batch.coordinates[~batch.mask].any()


def test_concatenated_bags_are_themselves_between_their_offsets():
    batch = concatenate_bags(BAGS)
    assert batch.offsets.tolist() == [0, 2, 2, 7]
    for place, one in enumerate(BAGS):
        rows = slice(*batch.offsets[place : place + 2].tolist())
        assert torch.equal(batch.features[rows], one.features)
        assert torch.equal(batch.coordinates[rows], one.coordinates)


@pytest.mark.parametrize("collate", [pad_bags, concatenate_bags])
def test_a_batch_says_of_each_bag_what_it_is_and_keeps_its_types(collate):
    batch = collate(BAGS)
    assert batch.labels.tolist() == [1, -100, 0]
    assert batch.patients == ["p-a", "p-b", "p-c"]
    assert batch.slide_ids == ["a", "b", "c"]
    types = (batch.features.dtype, batch.coordinates.dtype, batch.labels.dtype)
    assert types == (torch.float16, torch.int64, torch.int64)


@pytest.mark.parametrize("collate", [pad_bags, concatenate_bags])
def test_nothing_but_empty_bags_is_a_batch_too(collate):
    batch = collate([bag(0, "a"), bag(0, "b")])
    assert batch.features.numel() == 0
    assert batch.labels.tolist() == [0, 0]


@pytest.mark.parametrize("collate", [pad_bags, concatenate_bags])
def test_maps_of_features_are_collated_like_vectors(collate):
    batch = collate([bag(2, "a", shape=(3, 2, 2)), bag(1, "b", shape=(3, 2, 2))])
    assert batch.features.shape[-3:] == (3, 2, 2)


def test_padded_and_concatenated_bags_give_the_same_mean_of_each():
    bags = [one for one in BAGS if len(one.features)]
    padded, flat = pad_bags(bags), concatenate_bags(bags)
    by_mask = padded.features.float().sum(1) / padded.mask.sum(1, keepdim=True)
    parts = torch.tensor_split(flat.features.float(), flat.offsets[1:-1])
    assert torch.allclose(by_mask, torch.stack([part.mean(0) for part in parts]))


def test_torch_s_own_collation_takes_one_bag_and_bags_of_one_length():
    one = default_collate(BAGS[:1])
    assert one.features.shape == (1, 2, 3)
    assert (one.label.tolist(), one.patient, one.slide_id) == ([1], ("p-a",), ("a",))
    two = default_collate([bag(4, "a"), bag(4, "b")])
    assert two.features.shape == (2, 4, 3)


def test_a_bag_can_be_taken_apart():
    features, coordinates, label, *_ = BAGS[0]
    assert (features.shape, coordinates.shape, label) == ((2, 3), (2, 4), 1)
