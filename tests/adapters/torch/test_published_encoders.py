from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from pathassets.adapters import timm, transformers
from pathassets.adapters.torch.attention_pool import AttentionalPooler, resample_positions
from pathassets.adapters.torch.outputs import find_tensor, pool
from pathassets.core.features.encoder_cards import PUBLISHED
from pathassets.core.features.published_encoders import DECLARATIONS, Declaration

pytestmark = pytest.mark.usefixtures("model_libraries")


def shallow(declared: Declaration) -> Declaration:
    """With 2 blocks of up to 40: those between the first and the last change no shape."""
    if declared.architecture.startswith("resnet"):
        return declared
    depth = "num_hidden_layers" if declared.library == "transformers" else "depth"
    return replace(declared, kwargs={**declared.kwargs, depth: 2})


@pytest.mark.parametrize("declared", DECLARATIONS, ids=[d.card.name for d in DECLARATIONS])
def test_the_architecture_gives_what_its_card_says(declared):
    library = transformers if declared.library == "transformers" else timm
    card = declared.card
    side_px = card.preprocessing.side_of(224)
    with torch.device("meta"), torch.inference_mode():
        module = library.build(shallow(declared)).eval()
        output = find_tensor(module(torch.empty(2, 3, side_px, side_px)), card.name)
        features = pool(output, 2, card.pooling or "auto", card)
    assert features.shape == (2, card.dim)


def test_the_names_of_conch_s_weights_are_the_published_ones():
    with torch.device("meta"):
        shapes = {
            k: tuple(v.shape) for k, v in timm.build(PUBLISHED["conch-v1.5"]).state_dict().items()
        }
    assert {k: v for k, v in shapes.items() if not k.startswith("trunk.")} == {
        "attn_pool_contrast.query": (1, 768),
        "attn_pool_contrast.ln_k.weight": (1024,),
        "attn_pool_contrast.ln_k.bias": (1024,),
        "attn_pool_contrast.ln_q.weight": (768,),
        "attn_pool_contrast.ln_q.bias": (768,),
        "attn_pool_contrast.to_q.weight": (768, 768),
        "attn_pool_contrast.to_kv.weight": (1536, 1024),
        "attn_pool_contrast.to_out.weight": (768, 768),
        "ln_contrast.weight": (768,),
        "ln_contrast.bias": (768,),
    }
    assert shapes["trunk.pos_embed"] == (1, 197, 1024)
    assert shapes["trunk.blocks.23.ls2.gamma"] == (1024,)


def test_the_attentional_pooler_is_softmax_attention_head_by_head():
    torch.manual_seed(0)
    pooler, tokens = AttentionalPooler(6, dim=8, n_heads=2, n_queries=1), torch.randn(3, 5, 6)
    torch.nn.init.normal_(pooler.query)
    query = pooler.to_q(pooler.ln_q(pooler.query))[0]
    found = []
    for item in pooler.to_kv(pooler.ln_k(tokens)):
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            keys, values = item[:, :8][:, head], item[:, 8:][:, head]
            heads.append(torch.softmax(keys @ query[head] / 2, dim=0) @ values)  # 2 = sqrt(4)
        found.append(pooler.to_out(torch.cat(heads)))
    torch.testing.assert_close(pooler(tokens)[:, 0], torch.stack(found))


def test_positions_keep_the_class_token_and_are_resampled_by_a_factor():
    positions = torch.randn(1, 1 + 14 * 14, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resample_positions(positions, (14, 14)), positions)
    got = resample_positions(positions, (28, 28))
    assert got.shape == (1, 785, 4)
    assert torch.equal(got[:, 0], positions[:, 0])
    grid = positions[0, 1:].T.reshape(1, 4, 14, 14)
    wanted = functional.interpolate(grid, scale_factor=28.1 / 14, mode="bicubic")
    torch.testing.assert_close(got[0, 1:].T.reshape(1, 4, 28, 28), wanted)
    by_size = functional.interpolate(grid, size=(28, 28), mode="bicubic")
    assert (wanted - by_size).abs().max() > 1e-3


def test_conch_at_its_trunk_s_own_size_pools_what_timm_s_own_forward_gives():
    declared = PUBLISHED["conch-v1.5"]
    sizes = {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 64, "pooler_dim": 8}
    torch.manual_seed(0)
    module = timm.build(replace(declared, kwargs={**declared.kwargs, **sizes})).eval()
    with torch.inference_mode():
        pixels = torch.randn(2, 3, 64, 64)
        tokens = module.trunk.forward_features(pixels)
        wanted = module.ln_contrast(module.attn_pool_contrast(tokens)[:, 0])
        torch.testing.assert_close(module(pixels), wanted)
