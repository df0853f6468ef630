"""The seven methods: where they start, what they train, what they store, and that what is loaded again is what was trained."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline_config.errors import ConfigError, ModelError
from tasks.engine import TransformersEngine
from tasks.files import file_digests
from tasks.manifest import MANIFEST
from tasks.methods import METHODS as TABLE
from tasks.methods import find_method
from tasks.methods.lora import attach as attach_lora
from tasks.methods.targets import all_projections, attention_projections, feed_forward_outputs, keys_and_values
from tasks.models import LoadedBase, load_base, share_weights
from tests.adapted import METHODS, attach, make_artifact, shake, store, task_text, training
from tests.architectures import FAMILIES, tiny_model
from tests.builders import INSTRUCTION, tiny_base

IDS = torch.tensor([[5, 60, 71, 8, 99, 120, 33, 14, 250, 3]])
VARIANTS: dict[str, dict[str, Any]] = {
    "rslora": {"use_rslora": True}, "dora": {"use_dora": True}, "pissa": {"init_lora_weights": "pissa"},
    "pissa of few iterations": {"init_lora_weights": "pissa_niter_4"}, "olora": {"init_lora_weights": "olora"},
    "rslora from pissa": {"use_rslora": True, "init_lora_weights": "pissa"},
    "dora from pissa": {"use_dora": True, "init_lora_weights": "pissa"},
    "ranks by layer, from pissa": {"init_lora_weights": "pissa", "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "attention": {"target_modules": "attention"},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def base_for(folder: Path, method: str, dtype: str = "float32") -> LoadedBase:
    config = tiny_base(folder / "base").model_copy(update={"dtype": dtype})
    return load_base(config, folder, find_method(method).quantization)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits.float()  # type: ignore[no-any-return]


def logits_of_version(base: LoadedBase, artifact: Path) -> torch.Tensor:
    engine = TransformersEngine(base)
    engine.load_adapter("version", artifact)
    with engine.active("version") as tree:
        return logits(tree)


@pytest.mark.parametrize("method", ["full", "lora", "qlora", "adapter", "ia3"])
def test_a_fresh_model_answers_as_its_base(folder: Path, method: str) -> None:
    assert torch.equal(logits(attach(method, base_for(folder, method), seed=1)), logits(base_for(folder, method).model))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fresh_variant_of_lora_answers_as_its_base(folder: Path, variant: str) -> None:
    fresh = attach("lora", base_for(folder, "lora"), seed=1, lora=VARIANTS[variant])
    torch.testing.assert_close(logits(fresh), logits(base_for(folder, "lora").model), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_a_fresh_soft_prompt_answers_as_its_base_with_the_text_before(folder: Path, method: str) -> None:
    base = base_for(folder, method)
    words = task_text(base).encode(INSTRUCTION)[:5]
    with torch.no_grad():
        wanted = base.model(torch.cat([torch.tensor([words]), IDS], dim=1)).logits[:, 5:]
    torch.testing.assert_close(logits(attach(method, base, seed=1)), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_a_text_that_is_too_short_is_repeated(folder: Path, method: str) -> None:
    base = base_for(folder, method)
    words = task_text(base).encode("vpn")
    assert len(words) < 5
    with torch.no_grad():
        wanted = base.model(torch.cat([torch.tensor([(words * 5)[:5]]), IDS], dim=1)).logits[:, 5:]
    own = {"prompt": {"prompt_tuning_init_text": "vpn"}, "prefix": {"init_text": "vpn"}}
    torch.testing.assert_close(logits(attach(method, base, seed=1, **own)), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prefix_starts_from_a_text_in_every_family(family: str) -> None:
    base = tiny_model(family)
    words = [7, 8, 9, 10, 11]
    with torch.no_grad():
        wanted = base(torch.tensor([[*words, 3, 4, 5]])).logits[:, 5:]
        settings = training("prefix", prefix={"init_text": "words"})
        fresh = find_method("prefix").attach(base, settings, _Words(words)).eval()
        got = fresh(torch.tensor([[3, 4, 5]])).logits
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


class _Words:
    instruction = None

    def __init__(self, ids: list[int]) -> None:
        self.encode = lambda _: ids


@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_without_a_text_a_soft_prompt_has_to_be_told_to_start_at_random(folder: Path, method: str) -> None:
    base = base_for(folder, method)
    with pytest.raises(ConfigError, match="no instruction"):
        find_method(method).attach(base.model, training(method), task_text(base, None))
    random = {"prompt": {"prompt_tuning_init": "RANDOM"}, "prefix": {"init": "random"}}
    assert find_method(method).attach(base.model, training(method, **random), task_text(base, None)) is not None


@pytest.mark.parametrize("method", METHODS)
def test_trainable_weights_are_fp32_on_a_bf16_base_and_the_rest_is_frozen(folder: Path, method: str) -> None:
    model = attach(method, base_for(folder, method, "bfloat16"), seed=1)
    trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    assert {weights.dtype for weights in trained.values()} == {torch.float32}
    frozen = [name for name, _ in model.named_parameters() if name not in trained]
    assert (frozen == []) if method == "full" else (len(frozen) >= 20)
    rest = {weights.dtype for name, weights in model.named_parameters() if name not in trained}
    assert rest == {"full": set(), "qlora": {torch.bfloat16, torch.uint8}}.get(method, {torch.bfloat16})


@pytest.mark.parametrize("method", METHODS)
def test_every_trainable_weight_gets_a_gradient_and_moves(folder: Path, method: str) -> None:
    # Weights that are zero hide those before them, so nothing starts at zero here.
    model = shake(attach(method, base_for(folder, method, "bfloat16"), seed=1), seed=1).train()
    trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    before = {name: weights.detach().clone() for name, weights in trained.items()}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-5, weight_decay=0.0)
    cross_entropy(model(IDS, use_cache=False).logits[0, :-1].float(), IDS[0, 1:]).backward()
    optimizer.step()
    still = [name for name, weights in trained.items() if torch.equal(weights, before[name])]
    assert still == []


def test_where_weights_are_bf16_a_small_step_would_be_lost() -> None:
    """Why full fine-tuning keeps fp32 masters."""
    weight = torch.tensor(0.5, dtype=torch.bfloat16)
    assert weight - 1e-5 == weight


@pytest.mark.parametrize("method", METHODS)
def test_what_is_loaded_answers_as_what_was_trained(folder: Path, method: str) -> None:
    trained = shake(attach(method, base_for(folder, method), seed=1), seed=2)
    wanted = logits(trained)
    artifact = store(folder / "version", method, base_for(folder, method), trained)
    torch.testing.assert_close(logits_of_version(base_for(folder, method), artifact), wanted, rtol=1e-5, atol=1e-5)
    assert (wanted - logits(base_for(folder, method).model)).abs().max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_lora_load_on_the_untouched_base(folder: Path, variant: str) -> None:
    trained = shake(attach("lora", base_for(folder, "lora"), seed=1, lora=VARIANTS[variant]), seed=2)
    wanted = logits(trained)
    artifact = store(folder / "version", "lora", base_for(folder, "lora"), trained)
    base = base_for(folder, "lora")
    before = logits(base.model)
    torch.testing.assert_close(logits_of_version(base, artifact), wanted, rtol=1e-3, atol=1e-3)
    assert torch.equal(logits(base.model), before)
    assert (wanted - before).abs().max() > 0.1


@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer"])
def test_bottleneck_adapters_sit_on_what_a_sublayer_adds(folder: Path, placement: str) -> None:
    base = base_for(folder, "adapter")
    bare = base_for(folder, "adapter").model
    model = attach("adapter", base, seed=1, adapter={"placement": placement})
    places = list(model.sets["trained"])
    assert places == (
        ["0_attention", "0_feed_forward", "1_attention", "1_feed_forward"]
        if placement == "houlsby"
        else ["0_feed_forward", "1_feed_forward"]
    )
    shift = torch.linspace(-1, 1, 32)
    with torch.no_grad():
        for adapter in model.sets["trained"].values():
            adapter.up.bias.copy_(shift)
    for layer in bare.model.layers:
        for projection in [layer.mlp.down_proj, *([layer.self_attn.o_proj] if placement == "houlsby" else [])]:
            projection.register_forward_hook(lambda _module, _inputs, output: output + shift)
    torch.testing.assert_close(logits(model), logits(bare))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["lora", "adapter", "ia3", "full"])
def test_every_family_is_adapted_stored_and_loaded(tmp_path: Path, family: str, method: str) -> None:
    base = tiny_model(family)
    tree = share_weights(base)
    before = logits_short(base)
    trained = find_method(method).attach(tiny_model(family), training(method))
    assert torch.equal(logits_short(trained), before)
    wanted = logits_short(shake(trained, 2))
    find_method(method).save(trained, tmp_path, family)
    loaded = find_method(method).load(tree, "v", tmp_path)
    find_method(method).activate(loaded, "v")
    torch.testing.assert_close(logits_short(loaded), wanted, rtol=1e-5, atol=1e-5)
    assert (wanted - before).abs().max() > 0.05
    assert torch.equal(logits_short(base), before)


def logits_short(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(3, 23)[None]).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", METHODS)
def test_an_artifact_is_safetensors_and_json_without_a_path_of_this_machine(folder: Path, method: str) -> None:
    artifact = make_artifact(folder / "version", method, base_for(folder, method, "bfloat16"), seed=1)
    files = {path.name for path in artifact.iterdir()} - {MANIFEST}
    whole = {"model.safetensors", "config.json", "generation_config.json"}
    assert files == (whole if method == "full" else {"adapter_model.safetensors", "adapter_config.json"})
    for path in artifact.glob("*"):
        if path.name != MANIFEST:  # which has to say where the base is
            assert str(folder).encode() not in path.read_bytes(), path.name
    if method == "full":
        assert read(artifact / "config.json")["dtype"] == "bfloat16"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("method", METHODS)
def test_the_same_weights_give_the_same_bytes(folder: Path, method: str) -> None:
    one, two = (make_artifact(folder / name, method, base_for(folder, method), seed=1) for name in ("one", "two"))
    assert file_digests(one) == file_digests(two)


def test_saving_leaves_the_model_in_training_as_it_is(folder: Path) -> None:
    model = shake(attach("full", base_for(folder, "full", "bfloat16"), seed=1), 1)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    find_method("full").save(model, folder / "version", "base")
    assert all(torch.equal(weights, before[name]) for name, weights in model.state_dict().items())
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}


def test_a_whole_model_is_stored_and_served_in_the_base_s_precision(folder: Path) -> None:
    model = shake(attach("full", base_for(folder, "full", "bfloat16"), seed=1), 1)
    artifact = store(folder / "version", "full", base_for(folder, "full", "bfloat16"), model)
    wanted = base_for(folder, "full", "bfloat16").model
    wanted.load_state_dict(model.state_dict())  # rounds
    assert torch.equal(logits_of_version(base_for(folder, "full", "bfloat16"), artifact), logits(wanted))


def test_tied_weights_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    base = tiny_model("gemma2")
    trained = shake(find_method("full").attach(tiny_model("gemma2"), training("full")), 1)
    find_method("full").save(trained, tmp_path, "base")
    tree = find_method("full").load(share_weights(base), "v", tmp_path)
    assert tree.lm_head.weight is tree.model.embed_tokens.weight
    assert torch.equal(logits_short(tree), logits_short(trained))


def test_nf4_bytes_are_the_same_whenever_the_base_is_loaded(folder: Path) -> None:
    one, two = (dict(base_for(folder, "qlora").model.named_parameters()) for _ in range(2))
    quantised = [name for name, weights in one.items() if weights.dtype == torch.uint8]
    assert len(quantised) == 14
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(torch.equal(one[name].quant_state.absmax, two[name].quant_state.absmax) for name in quantised)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_validation_pass_changes_nothing_of_a_base_in_4_bits(folder: Path, dtype: str) -> None:
    """bitsandbytes repacks weights for the CPU in such a pass, and then passes no gradient on."""
    model = shake(attach("qlora", base_for(folder, "qlora", dtype), seed=1, lora={"lora_dropout": 0.0}), 1)
    bytes_before = {name: weights.clone() for name, weights in model.named_parameters() if weights.dtype == torch.uint8}
    before = gradients(model)
    logits(model)
    after = gradients(model)
    assert all(torch.equal(dict(model.named_parameters())[name], weights) for name, weights in bytes_before.items())
    assert all(torch.equal(after[name], gradient) and gradient.abs().max() > 0 for name, gradient in before.items())


def gradients(model: Any) -> dict[str, torch.Tensor]:
    model.train().zero_grad()
    cross_entropy(model(IDS, use_cache=False).logits[0, :-1].float(), IDS[0, 1:]).backward()
    return {name: weights.grad.clone() for name, weights in model.named_parameters() if weights.requires_grad}


def test_qlora_wants_a_base_in_4_bits_and_computes_in_its_precision(folder: Path) -> None:
    with pytest.raises(ConfigError, match="not in 4 bits"):
        attach("qlora", base_for(folder, "lora"), seed=1)
    with pytest.raises(ConfigError, match="products in bfloat16 on a base in float32"):
        attach("qlora", base_for(folder, "qlora"), seed=1, qlora={"bnb_4bit_compute_dtype": "bfloat16"})


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_a_start_that_moves_the_base_is_refused_on_4_bits(folder: Path, start: str) -> None:
    settings = training("lora", lora={"init_lora_weights": start})
    with pytest.raises(ConfigError, match="in 4 bits"):
        attach_lora(base_for(folder, "qlora").model, settings)


EXPECTED: dict[str, tuple[list[str], list[str], list[str]]] = {
    "phi3": (["o_proj", "qkv_proj"], ["qkv_proj"], ["down_proj"]),
}
USUAL = (["k_proj", "o_proj", "q_proj", "v_proj"], ["k_proj", "v_proj"], ["down_proj"])


@pytest.mark.parametrize("family", FAMILIES)
def test_projections_are_found_by_what_they_do(family: str) -> None:
    model = tiny_model(family)
    found = (attention_projections(model), keys_and_values(model), feed_forward_outputs(model))
    assert found == EXPECTED.get(family, USUAL)
    assert not any("head" in name or "embed" in name for name in all_projections(model))


def test_projections_of_older_families_are_found_too() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, OPTConfig, OPTForCausalLM

    shape = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4))
    assert attention_projections(gpt2) == ["attn.c_proj", "c_attn"]
    assert (keys_and_values(gpt2), feed_forward_outputs(gpt2)) == (["c_attn"], ["mlp.c_proj"])
    neox = GPTNeoXForCausalLM(GPTNeoXConfig(**shape, intermediate_size=64))
    assert attention_projections(neox) == ["dense", "query_key_value"]
    assert (keys_and_values(neox), feed_forward_outputs(neox)) == (["query_key_value"], ["dense_4h_to_h"])
    opt = OPTForCausalLM(OPTConfig(**shape, ffn_dim=32, word_embed_proj_dim=32))
    assert attention_projections(opt) == ["k_proj", "out_proj", "q_proj", "v_proj"]
    assert (keys_and_values(opt), feed_forward_outputs(opt)) == (["k_proj", "v_proj"], ["fc2"])


def test_a_model_without_attention_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    model = MambaForCausalLM(MambaConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, state_size=4))
    with pytest.raises(ModelError, match="0 of 2 layers"):
        all_projections(model)


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [("attention", 8), ("all-linear", 14), (["q_proj"], 2), (r".*layers\.0\..*_proj", 7)],
    ids=["attention", "all-linear", "names", "expression"],
)
def test_lora_adapts_what_it_is_told_to(folder: Path, targets: Any, adapted: int) -> None:
    model = attach("lora", base_for(folder, "lora"), seed=1, lora={"target_modules": targets})
    assert len([name for name, _ in model.named_parameters() if "lora_A" in name]) == adapted


def test_a_field_of_peft_reaches_it(folder: Path) -> None:
    model = attach("lora", base_for(folder, "lora"), seed=1, lora={"layers_to_transform": [1]})
    assert {name.split("layers.")[1][0] for name, weights in model.named_parameters() if weights.requires_grad} == {"1"}


def test_ia3_scales_the_input_of_the_feed_forward_s_last_and_the_output_of_the_others(folder: Path) -> None:
    model = attach("ia3", base_for(folder, "ia3"), seed=1)
    sizes = {name.split(".ia3_l")[0].split("layers.")[1]: weights.numel() for name, weights in model.named_parameters() if "ia3_l" in name}
    assert sizes == {
        f"{layer}.{name}": size
        for layer in (0, 1)
        for name, size in (("self_attn.k_proj", 16), ("self_attn.v_proj", 16), ("mlp.down_proj", 64))
    }


def test_lora_s_trainable_state_is_a_tenth_of_full_fine_tuning_s_at_most() -> None:
    """Gradients, Adam's two moments and the stored weights are fp32 for each trainable weight of either, so weights are counted."""
    model = on_paper(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3)
    everything = sum(weights.numel() for weights in model.parameters())
    lora = sum(weights.numel() for weights in attach_lora(model, training("lora", lora={"r": 16})).parameters() if weights.requires_grad)
    assert everything == 134_515_008
    assert lora < 0.1 * everything


def test_rank_16_of_a_4096_square_trains_131072_weights_in_place_of_16777216() -> None:
    model = on_paper(hidden_size=4096, intermediate_size=64, num_hidden_layers=1, num_attention_heads=32, num_key_value_heads=32)
    assert model.model.layers[0].self_attn.q_proj.weight.numel() == 16_777_216
    attached = attach_lora(model, training("lora", lora={"r": 16, "target_modules": ["q_proj"]}))
    assert sum(weights.numel() for weights in attached.parameters() if weights.requires_grad) == 131_072


def on_paper(**shape: int) -> Any:
    """A Llama of a shape, without memory behind it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**shape, vocab_size=49152, tie_word_embeddings=True))


@pytest.mark.parametrize("method", ["lora", "qlora", "ia3"])
def test_what_can_be_merged_answers_the_same_merged(folder: Path, method: str) -> None:
    artifact = make_artifact(folder / "version", method, base_for(folder, method), seed=1)
    merge = find_method(method).merge
    assert merge is not None
    tree = find_method(method).load(base_for(folder, "lora").model, "version", artifact)
    wanted = logits(tree)
    merged = merge(tree)
    torch.testing.assert_close(logits(merged), wanted, rtol=1e-4, atol=1e-4)
    assert type(merged) is type(base_for(folder, "lora").model)


def test_the_table_says_what_can_be_merged_and_what_vllm_serves() -> None:
    assert {name for name, method in TABLE.items() if method.mergeable} == {"lora", "qlora", "ia3"}
    assert {name for name, method in TABLE.items() if method.vllm} == {"full", "lora", "qlora"}
    assert tuple(TABLE) == METHODS


def test_a_method_of_another_package_goes_the_whole_way(folder: Path) -> None:
    name = "tests.outside:METHOD"
    assert name not in TABLE
    base = base_for(folder, name)
    model = find_method(name).attach(base.model, training(name, custom={"start": -1.0}))
    artifact = store(folder / "version", name, base, model)
    wanted = -logits(base_for(folder, name).model)
    assert torch.equal(logits_of_version(base_for(folder, name), artifact), wanted)
    engine = TransformersEngine(base_for(folder, name))
    engine.load_adapter("a", artifact)
    engine.load_adapter("b", artifact)
    engine.unload_adapter("a")
    assert engine.adapters() == ("b",)


@pytest.mark.parametrize("name", ["tests.outside", "tests.outside:Scaled", "tests.outside:NOTHING", "nowhere.at_all:METHOD", "lorra"])
def test_what_is_no_method_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        find_method(name)
